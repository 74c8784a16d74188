import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import type { Write } from "../decide/index.ts";
import { reference } from "../plan/index.ts";
import { askedWriteState } from "./write-state.ts";

interface Template {
  readonly image: string;
  readonly env: readonly string[];
}

const template = ({ image, env }: Template): object => ({
  spec: { containers: [{ name: "install-cni", image, env: env.map((name) => ({ name })) }] },
});
const before = template({ image: "mirror.example.com/install-cni:1", env: ["REGION"] });
const written = template({ image: "ghcr.io/install-cni:2", env: [] });
const object = reference("apps/v1", "DaemonSet", "istio-cni-node", "istio-system");
const pointer = "/spec/template";
const write: Write = { type: "field", object, pointer, value: written, restart: "template" };
const journal: JournalEntry[] = [
  { type: "field", step: "cni", object, pointer, prior: before, written, restart: "template" },
];

/** The state of the step after the engine has written its template and the server has stored this one instead. */
async function stateWith(stored: object, webhook: () => object | undefined): Promise<string> {
  const fieldsV1 = { "f:spec": { "f:template": {} } };
  const managedFields = [{ manager: "serin-rollout", operation: "Update" as const, fieldsV1 }];
  const current: UntypedObject = {
    metadata: { name: object.name, uid: "1", managedFields },
    spec: { template: stored },
  };
  const objects = { preview: async () => await Promise.resolve(webhook()) };
  return (await askedWriteState(objects, write, current, { step: "cni", journal })).state;
}

test("a step goes on if a webhook always makes the same of the template that the engine writes", async () => {
  const made = template({ image: "mirror.example.com/install-cni:2", env: ["REGION"] });
  assert.equal(await stateWith(made, () => made), "done");
});

test("a step does not go on if a webhook makes something else each time, keeps the old template, or does not tell", async () => {
  const made = template({ image: "mirror.example.com/install-cni:2", env: ["AT_10_00"] });
  assert.equal(
    await stateWith(made, () => template({ image: "mirror.example.com/install-cni:2", env: ["AT_10_01"] })),
    "pending",
  );
  assert.equal(await stateWith(before, () => before), "pending");
  assert.equal(await stateWith(made, () => undefined), "pending");
});
