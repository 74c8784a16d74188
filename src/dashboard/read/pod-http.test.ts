import assert from "node:assert/strict";
import { test } from "node:test";
import { SmallCluster } from "./testing/small-cluster.ts";
import { askPodByApiServer } from "./pod-http.ts";

test("a pod's metrics path leads only to that pod, and nothing else is requested with the server's rights", async () => {
  const paths: string[] = [];
  const raw = async (
    _method: string,
    path: string,
  ): Promise<{ status: number; headers: Record<string, string>; text: string }> => {
    paths.push(path);
    return await Promise.resolve({ status: 200, headers: {}, text: "" });
  };
  const ask = askPodByApiServer({ ...new SmallCluster().client, raw });
  const address = { namespace: "shop", pod: "web-1", ip: "10.0.0.1", port: 15_020 };
  const { signal } = new AbortController();
  for (const path of [
    "/../../../../kube-system/pods/other:1/proxy/stop",
    "/a/%2E%2e/b",
    "/a%2f..%2fb",
    "/a/..",
    "/a\\..\\b",
    "/a\r\nb",
    "/größe",
    "metrics",
    "",
  ]) {
    await assert.rejects(ask(address, path, signal), /is not the path of a request/, path);
  }
  for (const path of ["/stats/prometheus?filter=..", "/a..b/.../c"]) await ask(address, path, signal);
  assert.deepEqual(
    paths,
    ["/stats/prometheus?filter=..", "/a..b/.../c"].map(
      (path) => `/api/v1/namespaces/shop/pods/web-1:15020/proxy${path}`,
    ),
  );
});
