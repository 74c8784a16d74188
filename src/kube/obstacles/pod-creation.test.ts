import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event, Pod } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../client.ts";
import { findPodObstacle } from "./pod-creation.ts";

const sandboxId = "0123456789abcdef".repeat(4);

function creating(more: Partial<NonNullable<Pod["status"]>> = {}): Pod {
  const waiting = { name: "app", ready: false, restartCount: 0, image: "", imageID: "" };
  return {
    metadata: { name: "ztunnel-1", namespace: "istio-system", uid: "u1" },
    spec: { nodeName: "n2", containers: [] },
    status: {
      phase: "Pending",
      containerStatuses: [{ ...waiting, state: { waiting: { reason: "ContainerCreating" } } }],
      ...more,
    },
  };
}

/** A client that has these warnings about the pod `u1`. */
function clientWith(...warnings: readonly Partial<Event>[]): Pick<KubeClient, "list"> {
  return {
    list: (
      kind: { readonly kind: string },
      options?: { readonly fieldSelector?: string; readonly namespace?: string },
    ) => {
      assert.deepEqual(
        [kind.kind, options?.namespace, options?.fieldSelector],
        ["Event", "istio-system", "involvedObject.uid=u1,type=Warning"],
      );
      return Promise.resolve({ items: warnings, resourceVersion: "1" });
    },
  } as unknown as Pick<KubeClient, "list">;
}

const sandboxFailure = (text: string, lastTimestamp = "2026-01-01T00:00:00Z"): Partial<Event> => ({
  reason: "FailedCreatePodSandBox",
  message: `Failed to create pod sandbox: rpc error: failed to setup network for sandbox "${sandboxId}": ${text}`,
  lastTimestamp,
});

test("a pod without a sandbox is reported with the kubelet's last warning, without the sandbox's id", async () => {
  const client = clientWith(
    { reason: "FailedScheduling", message: "0/2 nodes are available", lastTimestamp: "2026-01-01T00:09:00Z" },
    { reason: "FieldsNotApplied", message: "a lab's own warning", lastTimestamp: "2026-01-01T00:08:00Z" },
    sandboxFailure("no address is free", "2026-01-01T00:01:00Z"),
    sandboxFailure("the first attempt", "2026-01-01T00:00:00Z"),
  );
  assert.deepEqual(await findPodObstacle(client, [creating()]), {
    text: "pod istio-system/ztunnel-1 on node n2: FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: failed to setup network for sandbox: no address is free",
    patienceMs: undefined,
    hint: "kubectl describe pod -n istio-system ztunnel-1",
  });
});

test("waiting does not help where the container runtime does not find the mesh's plugin, and the hint names the values", async () => {
  const client = clientWith(
    sandboxFailure('plugin type="serin-cni" failed (add): failed to find plugin "serin-cni" in path [/opt/elsewhere]'),
  );
  const obstacle = await findPodObstacle(client, [creating()]);
  assert.equal(obstacle?.patienceMs, 15_000);
  assert.match(obstacle?.text ?? "", /in path \[\/opt\/elsewhere\]$/);
  assert.match(obstacle?.hint ?? "", /values\.global\.platform=.*values\.cni\.cniBinDir=/);
});

test("a pod without the mesh's root gets a hint about istiod, which writes it, and another absent object none", async () => {
  const hintWithout = async (name: string): Promise<string | undefined> => {
    const message = `MountVolume.SetUp failed for volume "istiod-ca-cert" : configmap "${name}" not found`;
    return (await findPodObstacle(clientWith({ reason: "FailedMount", message }), [creating()]))?.hint;
  };
  assert.match((await hintWithout("istio-ca-root-cert")) ?? "", /make istiod ready first: kubectl get pods -A -l app=/);
  assert.equal(await hintWithout("settings"), "kubectl describe pod -n istio-system ztunnel-1");
});

test("the events of only a few pods are read", async () => {
  let asked = 0;
  const list = (): Promise<unknown> => {
    asked += 1;
    return Promise.resolve({ items: [], resourceVersion: "1" });
  };
  const pods = Array.from({ length: 1_000 }, () => creating());
  await findPodObstacle({ list } as unknown as Pick<KubeClient, "list">, pods);
  assert.equal(asked, 3);
});

test("a pod with a sandbox pulls its image, so earlier warnings are no obstacle", async () => {
  const conditions = [{ type: "PodReadyToStartContainers", status: "True" as const }];
  const obstacle = await findPodObstacle(clientWith(sandboxFailure("earlier")), [creating({ conditions })]);
  assert.equal(obstacle?.text, "pod istio-system/ztunnel-1 on node n2: container app: ContainerCreating");
});

test("an obstacle that does not pass by itself is reported first, and a pod without warnings by its status", async () => {
  const pulling = creating({
    containerStatuses: [
      {
        name: "app",
        ready: false,
        restartCount: 0,
        image: "",
        imageID: "",
        state: { waiting: { reason: "ErrImagePull", message: "manifest unknown" } },
      },
    ],
  });
  const asksNothing = { list: () => assert.fail("no event is read") } as unknown as Pick<KubeClient, "list">;
  const first = await findPodObstacle(asksNothing, [creating(), pulling]);
  assert.match(first?.text ?? "", /manifest unknown$/);
  assert.match((await findPodObstacle(clientWith(), [creating()]))?.text ?? "", /container app: ContainerCreating$/);
});

test("an agent that runs and is not ready is reported with the problem from its event, unless it is ready again", async () => {
  const problem = {
    reason: "CniPluginNotCalled",
    message: "the folder /opt/cni/bin is read-only. Make it writable",
    metadata: { annotations: { "serin.dev/remedy": "Make it writable" } },
  };
  const client = clientWith({ reason: "Unhealthy", message: "Readiness probe failed: HTTP probe failed" }, problem);
  const agent = (ready: "True" | "False"): Pod => ({
    metadata: { name: "agent-1", namespace: "istio-system", uid: "u1", labels: { "k8s-app": "istio-cni-node" } },
    spec: { nodeName: "n2", containers: [] },
    status: { phase: "Running", conditions: [{ type: "Ready", status: ready }] },
  });
  assert.deepEqual(await findPodObstacle(client, [agent("False")]), {
    text: "pod istio-system/agent-1 on node n2: the folder /opt/cni/bin is read-only",
    patienceMs: 15_000,
    hint: "Make it writable",
  });
  assert.equal(await findPodObstacle(client, [agent("True")]), undefined);
});
