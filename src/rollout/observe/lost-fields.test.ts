import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { FieldEntry, KeptField } from "../decide/index.ts";
import { fakeView, standingClock } from "./checks/testing/fake-mesh.ts";
import type { ClusterView } from "./cluster-view.ts";
import { LostFields } from "./lost-fields.ts";

const label = "istio.io/rev";
const pointer = "/metadata/labels/istio.io~1rev";
const gateway = (name: string): ObjectReference => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  plural: "gateways",
  name,
  namespace: "edge",
});
const entry = (name: string): FieldEntry => ({
  type: "field",
  step: "gateway",
  object: gateway(name),
  pointer,
  uid: name,
  prior: "1",
  written: "2",
});

const alone = (written: FieldEntry): KeptField => ({ first: written, last: written });

/** Gateways that each have a revision, and an observer that looks at them. */
function watched(revisions: Map<string, string>, writer = "kubectl-label") {
  let nowMs = 0;
  const read: string[] = [];
  const managedFields = [
    {
      manager: writer,
      time: "2026-11-20T12:00:00Z",
      fieldsV1: { "f:metadata": { "f:labels": { [`f:${label}`]: {} } } },
    },
  ];
  const objects = {
    get: async ({ name }: ObjectReference): Promise<UntypedObject | undefined> => {
      read.push(name);
      const revision = revisions.get(name);
      if (revision === undefined) return await Promise.resolve(undefined);
      return { metadata: { name, uid: name, labels: { [label]: revision }, managedFields } };
    },
  } as unknown as ObjectAccess;
  const fields = new LostFields(objects, fakeView([]), { ...standingClock(), steadyMs: () => nowMs });
  const look = async (atMs: number, kept: readonly FieldEntry[]): Promise<string | undefined> => {
    nowMs = atMs;
    return await fields.detailOf("MeshUpgrade u", kept.map(alone));
  };
  return { look, read };
}

test("a finished step's field that somebody sets back is named with its writer, until it is restored", async () => {
  const revisions = new Map([["front", "2"]]);
  const { look } = watched(revisions);
  assert.equal(await look(0, [entry("front")]), undefined);
  revisions.set("front", "1");
  assert.equal(
    await look(2000, [entry("front")]),
    'Gateway edge/front: /metadata/labels/istio.io~1rev was changed by kubectl-label at 2026-11-20T12:00:00Z: expected "2", found "1"',
  );
  revisions.set("front", "2");
  assert.match((await look(2100, [entry("front")])) ?? "", /^Gateway edge\/front/, "it is read every two seconds");
  assert.equal(await look(4000, [entry("front")]), undefined);
});

test("an object that is gone, and a value that the engine itself has written since, are no loss", async () => {
  assert.equal(await watched(new Map()).look(0, [entry("front")]), undefined);
  assert.equal(await watched(new Map([["front", "1"]]), "serin-rollout").look(0, [entry("front")]), undefined);
});

test("a look reads 32 objects, the next one the following ones, and a known loss stays until it is restored", async () => {
  const names = Array.from({ length: 40 }, (_, index) => `g${index}`);
  const kept = names.map(entry);
  const revisions = new Map(names.map((name) => [name, name === "g39" ? "1" : "2"]));
  const { look, read } = watched(revisions);
  assert.equal(await look(0, kept), undefined);
  assert.equal(read.length, 32);
  assert.match((await look(2000, kept)) ?? "", /^Gateway edge\/g39/);
  const before = read.length;
  assert.match((await look(4000, kept)) ?? "", /^Gateway edge\/g39/);
  assert.deepEqual(read.slice(before), ["g39"]);
});

test("a namespace whose label somebody removes has left the mesh, which is no loss, but another label is", async () => {
  const namespace = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "shop" };
  const lost = async (labels: Readonly<Record<string, string>>): Promise<string | undefined> => {
    const found = { metadata: { name: "shop", uid: "1", labels } };
    const objects = { get: async () => await Promise.resolve(found) } as unknown as ObjectAccess;
    const view = Object.assign(fakeView([]), { namespaces: { get: () => found } }) as unknown as ClusterView;
    const kept: FieldEntry = { ...entry("shop"), object: namespace, uid: "1" };
    return await new LostFields(objects, view, standingClock()).detailOf("MeshUpgrade u", [alone(kept)]);
  };
  assert.equal(await lost({}), undefined);
  assert.match((await lost({ [label]: "1" })) ?? "", /^Namespace shop: .*expected "2", found "1"$/);
  assert.match((await lost({ "istio-injection": "enabled" })) ?? "", /expected "2", found nothing$/);
});
