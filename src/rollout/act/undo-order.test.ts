import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { undoOrder } from "./undo-order.ts";

function object(kind: string, name: string): ObjectReference {
  return { apiVersion: "v1", kind, plural: `${kind.toLowerCase()}s`, name };
}

function field(name: string, options: { undoGroup?: string; restart?: "template" | "time" } = {}): JournalEntry {
  return { type: "field", step: "s", object: object("Thing", name), pointer: "/a", ...options };
}

const names = (entries: readonly JournalEntry[]): string[] => entries.map((entry) => entry.object.name);

test("entries are undone in reverse", () => {
  assert.deepEqual(names(undoOrder([field("a"), field("b"), field("c")])), ["c", "b", "a"]);
});

test("within a group labels are restored before the pods that read them, however many steps wrote the group", () => {
  const wave = "wave-1";
  const entries = [
    field("before"),
    field("namespace-label", { undoGroup: wave }),
    field("restart-a", { undoGroup: wave, restart: "time" }),
    field("restart-b", { undoGroup: wave, restart: "template" }),
    field("after"),
  ];
  assert.deepEqual(names(undoOrder(entries)), ["after", "namespace-label", "restart-b", "restart-a", "before"]);
});

test("groups are undone by their latest entries, latest first, and an ungrouped restart keeps its place", () => {
  const entries = [
    field("one-label", { undoGroup: "1" }),
    field("two-label", { undoGroup: "2" }),
    field("two-restart", { undoGroup: "2", restart: "time" }),
    field("one-restart", { undoGroup: "1", restart: "time" }),
    field("lone", { restart: "time" }),
  ];
  assert.deepEqual(names(undoOrder(entries)), ["lone", "one-label", "one-restart", "two-label", "two-restart"]);
});

test("a Deployment that a step resumed is held again after its pods have the former template, in whichever order they were journaled", () => {
  const of = (step: string, pointer: string, more: object): JournalEntry => ({
    type: "field",
    step,
    object: object("Deployment", "web"),
    pointer,
    ...more,
  });
  const setup = of("setup", "/spec/paused", { written: true });
  const resume = of("roll", "/spec/paused", { prior: true });
  const template = of("roll", "/spec/template", { written: "v2", prior: "v1", restart: "template" });
  const hold = of("hold", "/spec/paused", { written: true });
  assert.deepEqual(undoOrder([setup, resume, template, hold]), [hold, template, resume, setup]);
  assert.deepEqual(undoOrder([setup, template, resume, hold]), [hold, template, resume, setup]);
  assert.deepEqual(undoOrder([setup, resume]), [resume, setup], "a step without a template keeps its order");
});

test("a control plane's budget and autoscaler leave after its Deployment, which may still serve", () => {
  const made = (kind: string, step = "install-1"): JournalEntry => ({
    type: "created",
    step,
    object: object(kind, kind),
  });
  const entries = ["ServiceAccount", "Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler", "DaemonSet"];
  assert.deepEqual(names(undoOrder(entries.map((kind) => made(kind)))), [
    "DaemonSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "ServiceAccount",
  ]);
  assert.deepEqual(names(undoOrder([made("Deployment", "a"), made("PodDisruptionBudget", "b")])), [
    "PodDisruptionBudget",
    "Deployment",
  ]);
});

test("an operator installs the old control plane before the ztunnel that it configures, in whichever order they were removed", () => {
  const removed = (part: string, step = "retire"): JournalEntry => ({
    type: "field",
    step,
    object: object("IstioOperator", part),
    pointer: `/spec/components/${part}/enabled`,
    written: false,
  });
  const [pilot, ztunnel] = [removed("pilot"), removed("ztunnel")];
  assert.deepEqual(names(undoOrder([field("a"), pilot, ztunnel, field("b")])), ["b", "pilot", "ztunnel", "a"]);
  assert.deepEqual(names(undoOrder([ztunnel, pilot])), ["pilot", "ztunnel"]);
});

test("a found copy gets its number of pods back after the autoscaler that the same step has made for it has left", () => {
  const scaler: JournalEntry = {
    type: "created",
    step: "copy",
    object: object("HorizontalPodAutoscaler", "web-canary"),
  };
  const pods = (name: string): JournalEntry => ({
    type: "field",
    step: "copy",
    object: object("Deployment", name),
    pointer: "/spec/replicas",
    own: true,
  });
  const [copy, other] = [pods("web-canary"), pods("other")];
  assert.deepEqual(undoOrder([scaler, copy]), [scaler, copy]);
  assert.deepEqual(undoOrder([scaler, other]), [other, scaler]);
});
