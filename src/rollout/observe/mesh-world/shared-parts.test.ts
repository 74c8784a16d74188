import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade, type JournalEntry, type MeshUpgrade } from "../../../api/serin/index.ts";
import * as install from "../../../install/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { reference, type MeshWorld } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { observeCni, observeRoot } from "./shared-parts.ts";

const istiod = (revision: string, namespace: string) => ({
  kind: "Deployment",
  metadata: { name: `istiod-${revision}`, namespace, labels: { app: "istiod", "istio.io/rev": revision } },
});

interface Cluster {
  readonly deployments?: readonly object[];
  readonly installs?: MeshWorld["installs"];
  readonly journal?: readonly JournalEntry[];
}

/** The namespace in which the observer looks for the next root, if every namespace has the named Secret. */
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

/** Observes an upgrade to this agent, while the running agent uses the folders of k3s. */
async function agentAfterK3s(cni: object, values: object = {}): Promise<unknown> {
  const { value: upgrade = assert.fail() } = parseMeshUpgrade({
    metadata: { name: "to-next" },
    spec: {
      from: { revision: "default" },
      to: { revision: "next", install: [{ profile: "ambient", revision: "next", values }], cni },
    },
  });
  const volumes = [
    { name: "cni-bin-dir", hostPath: { path: "/var/lib/rancher/k3s/data/cni" } },
    { name: "cni-net-dir", hostPath: { path: "/var/lib/rancher/k3s/agent/etc/cni/net.d" } },
  ];
  const view = {
    daemonSets: new Map([["istio-system/istio-cni-node", { spec: { selector: {}, template: { spec: { volumes } } } }]]),
    pods: { list: () => [] },
  } as unknown as ClusterView;
  const answers = { raw: () => Promise.resolve({ status: 404, text: "" }), get: () => Promise.resolve(undefined) };
  const client = answers as unknown as KubeClient;
  return (await observeCni(client, view, install, upgrade, { hub: "registry.example.com", tag: "1.18.1" })).cni;
}

test("an agent in other folders of the node than before is refused, unless the upgrade states the platform or folders", async () => {
  await assert.rejects(agentAfterK3s({ tag: "1.18.1" }), {
    message: /uses the nodes' folder \/var\/lib\/rancher\/k3s\/data\/cni, and its successor would use \/opt\/cni\/bin/,
    hint: /values\.global\.platform, or values\.cni\.cniBinDir: \/var\/lib\/rancher\/k3s\/data\/cni/,
  });
  await assert.rejects(agentAfterK3s({ values: { cni: { cniBinDir: "/x" } } }), /agent\/etc\/cni\/net\.d/);
  assert.notEqual(await agentAfterK3s({}, { global: { platform: "k3s" } }), undefined);
  assert.notEqual(await agentAfterK3s({ values: { cni: { cniBinDir: "/x", cniConfDir: "/y" } } }), undefined);
});
