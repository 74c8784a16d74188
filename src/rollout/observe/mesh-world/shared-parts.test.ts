import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry, MeshUpgrade } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { reference, type MeshWorld } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { observeRoot } from "./shared-parts.ts";

const istiod = (revision: string, namespace: string) => ({
  kind: "Deployment",
  metadata: { name: `istiod-${revision}`, namespace, labels: { app: "istiod", "istio.io/rev": revision } },
});

interface Cluster {
  readonly deployments?: readonly object[];
  readonly installs?: MeshWorld["installs"];
  readonly journal?: readonly JournalEntry[];
}

/** The namespace in which the next root is looked for, when each namespace has the named Secret. */
async function rootNamespace({ deployments = [], installs = [], journal = [] }: Cluster): Promise<unknown> {
  const upgrade = {
    spec: { from: { revision: "old" }, to: { revision: "new", root: { secretName: "next" } } },
  } as unknown as MeshUpgrade;
  const client = {
    get: async (_kind: object, name: string) => await Promise.resolve(name === "next" ? { data: {} } : undefined),
  } as unknown as KubeClient;
  const view = {
    deployments: { list: () => deployments },
    controlPlaneNamespaces: () => new Set(["istio-system", "mesh-control"]),
  } as unknown as ClusterView;
  return (await observeRoot(client, view, upgrade, { installs, journal })).root?.namespace;
}

test("the next root belongs where the control planes run, whether they are installed already or by the upgrade", async () => {
  const deployments = [istiod("old", "mesh-control"), istiod("new", "mesh-control")];
  assert.equal(await rootNamespace({ deployments }), "mesh-control");
  assert.equal(await rootNamespace({ deployments: deployments.slice(1) }), "mesh-control", "the old one is retired");
  assert.equal(await rootNamespace({ installs: [[istiod("new", "mesh-control")]] }), "mesh-control");
  assert.equal(await rootNamespace({}), "istio-system");
  const journal = [
    { type: "created", step: "root/trust", object: reference("v1", "Secret", "istio-ca-next", "mesh-control") },
  ] as const;
  assert.equal(await rootNamespace({ journal }), "mesh-control", "a rotation under way stays where it has begun");
});

test("an upgrade between namespaces changes no root, because each control plane looks for the next one in its own", async () => {
  await assert.rejects(
    rootNamespace({ deployments: [istiod("old", "istio-system")], installs: [[istiod("new", "mesh-control")]] }),
    /spec\.to\.root: revision old runs in namespace istio-system, and new in mesh-control, and a root changes only for/,
  );
});
