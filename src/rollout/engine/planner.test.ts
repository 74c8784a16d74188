import assert from "node:assert/strict";
import { test } from "node:test";
import { transientError, userError } from "../../base/index.ts";
import { parseMeshUpgrade, ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { createCertificate } from "../admission/create-certificate.ts";
import { ObjectAccess } from "../act/object-access.ts";
import { fakePod, fakeView, standingClock } from "../observe/checks/testing/fake-mesh.ts";
import type { ClusterView } from "../observe/cluster-view.ts";
import { Planner, planRefusal } from "./planner.ts";

const enrolled = (name: string, owner: string) =>
  fakePod({ name, annotations: { "ambient.istio.io/redirection": "enabled", [ztunnelOwnerAnnotation]: owner } });

test("the next pods of a step move as soon as the previous ones have moved, even if other observations are older", async () => {
  let lists = 0;
  const client = {
    list: async () => ((lists += 1), { items: [], resourceVersion: "1" }),
    get: async () => undefined,
  } as unknown as KubeClient;
  const pods = ["a", "b", "c", "d"].map((name) => enrolled(name, "old"));
  const none = { list: () => [], get: () => undefined };
  const shop = { metadata: { name: "shop", labels: { "istio.io/dataplane-mode": "ambient" } } };
  const namespaces = { list: () => [shop], get: (name: string) => (name === "shop" ? shop : undefined) };
  const others = { namespaces, deployments: none, daemonSets: none, statefulSets: none, injectors: none };
  const view: ClusterView = Object.assign(fakeView(pods), others as object);
  const { value: upgrade, errors } = parseMeshUpgrade({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name: "u", uid: "0123456789" },
    spec: {
      from: { revision: "old" },
      to: { revision: "new", install: [{ revision: "new", profile: "ambient" }] },
      ztunnel: { maxConcurrent: 1 },
    },
  });
  assert.deepEqual(errors, []);
  assert.ok(upgrade);
  const image = { hub: "serin", tag: "1.0.0" };
  const planner = new Planner({ client, objects: new ObjectAccess(client), view, clock: standingClock(), image });
  const moves = async (): Promise<string[]> => {
    const { steps } = await planner.plan(upgrade, []);
    const step = steps.find(({ id }) => id === "wave-1/ztunnel-2");
    return step?.writes.map(({ object }) => object.name) ?? [];
  };
  pods[0] = enrolled("a", "new");
  assert.deepEqual(await moves(), ["a", "b"]);
  const listed = lists;
  pods[1] = enrolled("b", "new");
  assert.deepEqual(await moves(), ["a", "b", "c"]);
  assert.equal(lists, listed);
  await planner.plan({ ...upgrade, metadata: { ...upgrade.metadata, uid: "another" } }, []);
  assert.ok(lists > listed, "an upgrade that was created again with the name may have another spec");
});

test("a fault of the target says how to go on, and only a fault of the spec asks to correct the spec", () => {
  const advised = userError("target-missing", "Deployment shop/web was scaled to 0 replicas; scale it up");
  assert.deepEqual(planRefusal(advised), { reason: "spec", problem: advised.message });
  const hinted = userError("rollout-invalid", "spec.to.cni: has no CNI agent", { hint: "enable it" });
  assert.equal(planRefusal(hinted)?.remedy, "enable it");
  assert.equal(planRefusal(userError("rollout-invalid", "spec.steps: too many"))?.remedy, "correct the spec");
  assert.equal(planRefusal(transientError("read-late", "too old")), undefined);
});

test("a control plane of another namespace whose root nobody trusts stops the upgrade before its first step", async () => {
  const { certificate } = await createCertificate(["root.test"], 0);
  const client = {
    list: async () => ({ items: [], resourceVersion: "1" }),
    get: async (_kind: object, name: string) =>
      name === "istio-ca-root-cert" ? { data: { "root-cert.pem": certificate } } : undefined,
  } as unknown as KubeClient;
  const labels = { app: "istiod", "istio.io/rev": "old" };
  const old = { metadata: { name: "istiod-old", namespace: "istio-system", labels } };
  const none = { list: () => [], get: () => undefined };
  const others = {
    namespaces: none,
    daemonSets: none,
    statefulSets: none,
    injectors: none,
    deployments: { list: () => [old], get: () => undefined },
    controlPlaneNamespaces: () => new Set(["istio-system"]),
  };
  const view: ClusterView = Object.assign(fakeView([]), others as object);
  const { value: upgrade } = parseMeshUpgrade({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name: "u", uid: "0123456789" },
    spec: {
      from: { revision: "old" },
      to: { revision: "new", install: [{ revision: "new", namespace: "mesh-control", profile: "ambient" }] },
    },
  });
  assert.ok(upgrade);
  const image = { hub: "serin", tag: "1.0.0" };
  const planner = new Planner({ client, objects: new ObjectAccess(client), view, clock: standingClock(), image });
  await assert.rejects(planner.plan(upgrade, []), /new would run in namespace mesh-control.*a root of its own/);
});
