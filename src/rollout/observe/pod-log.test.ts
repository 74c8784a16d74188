import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../kube/index.ts";
import { readPodLog } from "./pod-log.ts";

const pod = { namespace: "shop", name: "web-1", node: "worker-2" };

test("a kubelet that does not answer ends the read of a log after a limit, and the error names the node", async () => {
  const limit = new AbortController();
  const client = {
    raw: async (_method: string, _path: string, { signal }: { readonly signal: AbortSignal }) => {
      limit.abort();
      signal.throwIfAborted();
      return await new Promise(() => undefined);
    },
  } as unknown as KubeClient;
  await assert.rejects(
    readPodLog(client, pod, { container: "web" }, limit.signal),
    /^Error: the log of pod shop\/web-1 cannot be read: the kubelet of node worker-2 does not answer$/,
  );
});

test("each read of a log has a limit", async () => {
  const requests: unknown[] = [];
  const client = {
    raw: async (method: string, path: string, { signal }: { readonly signal?: AbortSignal }) => {
      requests.push(method, path, signal instanceof AbortSignal);
      return await Promise.resolve({ status: 200, text: "line" });
    },
  } as unknown as KubeClient;
  assert.equal(await readPodLog(client, pod, { container: "web", tailLines: "1" }), "line");
  assert.deepEqual(requests, ["GET", "/api/v1/namespaces/shop/pods/web-1/log?container=web&tailLines=1", true]);
});
