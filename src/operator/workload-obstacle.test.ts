import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import type { KubeClient, RawResponse } from "../kube/index.ts";
import { WorkloadObstacles } from "./workload-obstacle.ts";

const agent: UntypedObject = {
  apiVersion: "apps/v1",
  kind: "DaemonSet",
  metadata: { name: "agent", namespace: "istio-system" },
  spec: { selector: { matchLabels: { app: "agent" } } },
};

const crashing = {
  metadata: { name: "agent-1", namespace: "istio-system" },
  spec: { nodeName: "n2", containers: [] },
  status: {
    phase: "Running",
    containerStatuses: [
      {
        name: "install-cni",
        restartCount: 5,
        state: { waiting: { reason: "CrashLoopBackOff", message: "back-off 1m20s" } },
        lastState: { terminated: { exitCode: 2, reason: "Error" } },
      },
    ],
  },
};

/**
 * Returns the message about a crashed container. `answer` is the API server's response to a request for the container's
 * log.
 */
async function crashLog(answer: (query: URLSearchParams) => Partial<RawResponse>): Promise<string> {
  const client = {
    list: () => Promise.resolve({ items: [crashing], resourceVersion: "1" }),
    raw: (_method: string, path: string) => {
      const { pathname, searchParams } = new URL(path, "http://api");
      assert.equal(pathname, "/api/v1/namespaces/istio-system/pods/agent-1/log");
      return Promise.resolve(answer(searchParams));
    },
  } as unknown as KubeClient;
  const obstacles = new WorkloadObstacles(agent, client, systemClock);
  await obstacles.look();
  return await obstacles.crashLog();
}

test("a crash is reported with the last lines of the container's previous run", async () => {
  assert.equal(
    await crashLog((query) =>
      query.get("previous") === "true" && query.get("container") === "install-cni"
        ? { status: 200, text: "first\nsecond\n" }
        : { status: 500, text: "" },
    ),
    "\n  its last lines:\n    first\n    second",
  );
});

test("if the kubelet has removed the previous run, the last lines are the current one's", async () => {
  assert.equal(
    await crashLog((query) => ({
      status: 200,
      text: query.has("previous") ? "unable to retrieve container logs for containerd://d07" : "now",
    })),
    "\n  its last lines:\n    now",
  );
});

test("an unreadable log is reported with the answer", async () => {
  assert.equal(
    await crashLog(() => ({ status: 502, text: "no route to the node" })),
    "\n  its log cannot be read: 502 no route to the node",
  );
  assert.equal(await crashLog(() => ({ status: 200, text: "" })), "\n  its log is empty");
});

const refusedMessage =
  'pods "agent-x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4';

/** A cluster whose API server has refused a pod of the agent's DaemonSet. Records the patches of the DaemonSet. */
function refusing(
  status: { readonly currentNumberScheduled: number; readonly desiredNumberScheduled: number },
  message = refusedMessage,
): { readonly client: KubeClient; readonly patches: unknown[] } {
  const patches: unknown[] = [];
  const event = { involvedObject: { uid: "u2" }, reason: "FailedCreate", message };
  const client = {
    get: () => Promise.resolve({ metadata: { ...agent.metadata, uid: "u2" }, status }),
    list: (kind: { readonly kind: string }, { fieldSelector = "" }: { readonly fieldSelector?: string }) =>
      Promise.resolve({
        items: kind.kind === "Event" && fieldSelector === "involvedObject.uid=u2,reason=FailedCreate" ? [event] : [],
      }),
    patchMerge: (_kind: unknown, _name: string, _namespace: string, patch: unknown) => {
      patches.push(patch);
      return Promise.resolve({});
    },
  } as unknown as KubeClient;
  return { client, patches };
}

test("refused pods are an obstacle once their controller was asked to try again", async () => {
  const { client, patches } = refusing({ currentNumberScheduled: 0, desiredNumberScheduled: 2 });
  let steadyMs = 0;
  const clock = { ...systemClock, steadyMs: () => steadyMs, nowMs: () => 0 };
  const obstacles = new WorkloadObstacles(agent, client, clock);
  const first = await obstacles.look();
  assert.deepEqual([first.obstacle?.text, first.isFinal], [`DaemonSet istio-system/agent: ${refusedMessage}`, false]);
  steadyMs = 8_000;
  assert.equal((await obstacles.look()).isFinal, true);
  assert.deepEqual(patches, [
    { metadata: { annotations: { "install.serin.dev/asked-again-at": "1970-01-01T00:00:00.000Z" } } },
  ]);
});

test("an event of a refusal is no obstacle when all pods exist", async () => {
  const { client, patches } = refusing({ currentNumberScheduled: 2, desiredNumberScheduled: 2 });
  const obstacles = new WorkloadObstacles(agent, client, systemClock);
  assert.deepEqual([(await obstacles.look()).obstacle, patches], [undefined, []]);
});

test("where a platform wants a quota for the nodes' priority class, the hint names the value that brings it", async () => {
  const scopes = "[{PriorityClass In [system-node-critical system-cluster-critical]}]";
  const { client } = refusing(
    { currentNumberScheduled: 0, desiredNumberScheduled: 2 },
    `insufficient quota to match these scopes: ${scopes}`,
  );
  const { obstacle } = await new WorkloadObstacles(agent, client, systemClock).look();
  assert.match(
    obstacle?.hint ?? "",
    /namespace istio-system\. On GKE, install with --set values\.global\.platform=gke/,
  );
});

test("an earlier installation's pods that cannot start are deleted once, because the kubelet pauses between attempts", async () => {
  const pod = (name: string, second: number, reason: string): object => ({
    metadata: { name, namespace: "istio-system", uid: name, creationTimestamp: new Date(second * 1_000).toISOString() },
    spec: { nodeName: "n1", containers: [] },
    status: {
      phase: "Pending",
      containerStatuses: [{ name: "main", restartCount: 0, state: { waiting: { reason } } }],
    },
  });
  const items = [
    pod("earlier", 10, "ImagePullBackOff"),
    pod("starts", 10, "ContainerCreating"),
    pod("own", 60, "ErrImagePull"),
  ];
  const deleted: unknown[] = [];
  const client = {
    list: () => Promise.resolve({ items, resourceVersion: "1" }),
    delete: (_kind: unknown, name: string, namespace: string, options: unknown) => {
      deleted.push([namespace, name, options]);
      return Promise.reject(new Error("no right to delete pods"));
    },
  } as unknown as KubeClient;
  let steadyMs = 0;
  const clock = { ...systemClock, steadyMs: () => steadyMs };
  const again = new WorkloadObstacles(agent, client, clock, 60_500);
  for (steadyMs = 0; steadyMs < 9_000; steadyMs += 3_000) assert.equal((await again.look()).isFinal, false);
  assert.deepEqual(deleted.splice(0), [["istio-system", "earlier", { preconditions: { uid: "earlier" } }]]);
  steadyMs = 20_000;
  assert.equal((await again.look()).isFinal, true);
  await new WorkloadObstacles(agent, client, clock).look();
  assert.deepEqual(deleted, []);
});
