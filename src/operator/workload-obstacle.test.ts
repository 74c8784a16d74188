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
async function lastWords(answer: (query: URLSearchParams) => Partial<RawResponse>): Promise<string> {
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
  return await obstacles.lastWords();
}

test("a crash is reported with the last lines of the container's previous run", async () => {
  assert.equal(
    await lastWords((query) =>
      query.get("previous") === "true" && query.get("container") === "install-cni"
        ? { status: 200, text: "first\nsecond\n" }
        : { status: 500, text: "" },
    ),
    "\n  its last lines:\n    first\n    second",
  );
});

test("if the kubelet has removed the previous run, the last lines are the current one's", async () => {
  assert.equal(
    await lastWords((query) => ({
      status: 200,
      text: query.has("previous") ? "unable to retrieve container logs for containerd://d07" : "now",
    })),
    "\n  its last lines:\n    now",
  );
});

test("an unreadable log is reported with the answer", async () => {
  assert.equal(
    await lastWords(() => ({ status: 502, text: "no route to the node" })),
    "\n  its log cannot be read: 502 no route to the node",
  );
  assert.equal(await lastWords(() => ({ status: 200, text: "" })), "\n  its log is empty");
});
