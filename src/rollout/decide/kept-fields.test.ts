import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry } from "../../api/serin/index.ts";
import { keptFields } from "./conflict.ts";
import type { Step } from "./step.ts";

const namespace = (name: string) => ({ apiVersion: "v1", kind: "Namespace", plural: "namespaces", name });
const deployment = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "web", namespace: "a" };
const pod = { apiVersion: "v1", kind: "Pod", plural: "pods", name: "web-0", namespace: "a" };
const pointer = "/metadata/labels/istio.io~1rev";
const step: Step = {
  id: "wave/b",
  title: "b",
  writes: [{ type: "field", object: namespace("b"), pointer, value: "2" }],
  settle: [],
  checks: [],
};
const entry = (step: string, more: Partial<Extract<JournalEntry, { type: "field" }>> = {}): JournalEntry => ({
  type: "field",
  step,
  object: namespace("a"),
  pointer,
  prior: "1",
  written: "2",
  ...more,
});

test("the last write of each finished step's field must stay, but not what the current step writes itself", () => {
  const journal = [
    entry("pin", { written: "1" }),
    entry("wave/a"),
    entry("wave/b", { object: namespace("b") }),
    entry("wave/c", { object: namespace("c") }),
  ];
  const kept = keptFields(step, journal, new Set(["pin", "wave/a", "wave/c-abandoned"]));
  assert.deepEqual(
    kept.map(({ last }) => [last.step, last.object.name]),
    [["wave/a", "a"]],
  );
});

test("a field that several steps have written has its first and its last entry", () => {
  const journal = [entry("pin", { prior: "0", written: "1" }), entry("wave/a")];
  const [kept, ...others] = keptFields(step, journal, new Set(["pin", "wave/a"]));
  assert.deepEqual([kept?.first.prior, kept?.last.prior, others], ["0", "1", []]);
});

test("pods, restarts, users' templates, update strategies, numbers of pods of copies and objects that were made need not stay", () => {
  const journal: JournalEntry[] = [
    entry("wave/a", { object: pod }),
    entry("wave/a", { object: deployment, pointer: "/spec/template", restart: "template" }),
    entry("wave/a", { object: deployment, pointer: "/spec/template/metadata", adopted: true }),
    entry("wave/a", { object: deployment, pointer: "/spec/strategy" }),
    entry("wave/a", { object: deployment, pointer: "/spec/replicas", own: true }),
    { type: "created", step: "wave/a", object: namespace("d") },
  ];
  assert.deepEqual(keptFields(step, journal, new Set(["wave/a"])), []);
});
