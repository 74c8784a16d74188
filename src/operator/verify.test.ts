import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { MemoryCluster } from "./testing/memory-cluster.ts";
import { verifyInstalled } from "./verify.ts";

const workload = (kind: string, name: string, spec: object = {}): UntypedObject => ({
  apiVersion: "apps/v1",
  kind,
  metadata: { namespace: "istio-system", name },
  spec,
});

/** Returns the fault of the wanted object, if the cluster contains the found object. */
async function fault(
  wanted: UntypedObject,
  found: { readonly spec?: object; readonly status: object },
  nodes: readonly object[] = [],
): Promise<string | undefined> {
  const client = new MemoryCluster();
  // Objects in the cluster have generation 1.
  client.put(wanted.kind ?? "", { ...wanted, ...found });
  for (const [index, labels] of nodes.entries())
    client.put("Node", { apiVersion: "v1", kind: "Node", metadata: { name: `n${index}`, labels } } as UntypedObject);
  const { bad, good, absent } = await verifyInstalled(client, [wanted]);
  assert.equal(absent, 0);
  assert.equal(bad.length + good.length, 1);
  return bad[0];
}

const ready = { observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1, readyReplicas: 1 };
const none = { observedGeneration: 1 };

test("a workload that somebody has scaled to 0 replicas is named with the command that starts it", async () => {
  const istiod = workload("Deployment", "istiod");
  assert.equal(await fault(istiod, { spec: { replicas: 1 }, status: ready }), undefined);
  assert.equal(
    await fault(istiod, { spec: { replicas: 0 }, status: none }),
    "Deployment: istiod.istio-system: it is scaled to 0 replicas; to start it: kubectl scale deployment/istiod -n istio-system --replicas=1",
  );
  assert.match(
    (await fault(workload("StatefulSet", "s", { replicas: 3 }), { spec: { replicas: 0 }, status: none })) ?? "",
    /kubectl scale statefulset\/s -n istio-system --replicas=3$/,
  );
  const asked = workload("Deployment", "istiod", { replicas: 0 });
  assert.equal(
    await fault(asked, { spec: { replicas: 0 }, status: none }),
    undefined,
    "the installation asks for none",
  );
});

test("a workload whose controller has not seen its last change is not verified", async () => {
  for (const kind of ["Deployment", "StatefulSet", "DaemonSet"])
    assert.match(
      (await fault(workload(kind, "w"), { status: { ...ready, desiredNumberScheduled: 0, observedGeneration: 0 } })) ??
        "",
      /its controller has not seen it yet$/,
      kind,
    );
});

const linux = { "kubernetes.io/os": "linux" };
const selecting = (more: object = {}): object => ({
  template: { spec: { nodeSelector: linux, ...more } },
});
const nowhere = { ...none, desiredNumberScheduled: 0, numberAvailable: 0, updatedNumberScheduled: 0 };

test("a DaemonSet that runs on no node is not verified while nodes exist on which it should run", async () => {
  const ztunnel = workload("DaemonSet", "ztunnel");
  assert.equal(
    await fault(ztunnel, { spec: selecting(), status: nowhere }, [linux, linux, { "kubernetes.io/os": "windows" }]),
    "DaemonSet: ztunnel.istio-system: it runs on none of 2 nodes; kubectl describe daemonset/ztunnel -n istio-system says why",
  );
  assert.equal(await fault(ztunnel, { spec: selecting(), status: nowhere }), undefined, "there is no node");
  const windows = [{ "kubernetes.io/os": "windows" }];
  assert.equal(await fault(ztunnel, { spec: selecting(), status: nowhere }, windows), undefined);
  const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: {} } };
  assert.equal(await fault(ztunnel, { spec: selecting({ affinity }), status: nowhere }, [linux]), undefined);
  const running = { ...nowhere, desiredNumberScheduled: 1, numberAvailable: 1, updatedNumberScheduled: 1 };
  assert.equal(await fault(ztunnel, { spec: selecting(), status: running }, [linux]), undefined);
});
