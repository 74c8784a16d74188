import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../kube/index.ts";
import { fakeView } from "./checks/testing/fake-mesh.ts";
import type { ClusterView } from "./cluster-view.ts";
import { storedDependents } from "./dependents.ts";

test("a namespace whose label selects the old revision depends on it, unless it is being deleted", async () => {
  const namespace = (name: string, more: object = {}): object => ({
    metadata: { name, labels: { "istio.io/rev": "old" }, ...more },
  });
  const namespaces = [namespace("shop"), namespace("gone", { deletionTimestamp: "2026-01-01T00:00:00Z" })];
  const view = Object.assign(fakeView([]), { namespaces: { list: () => namespaces } }) as unknown as ClusterView;
  const client = { list: async () => await Promise.resolve({ items: [] }) } as unknown as KubeClient;
  const found = await storedDependents(client, view, "old");
  assert.deepEqual(
    found.map(({ text }) => text),
    ["namespace shop (its label)"],
  );
});
