import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeConfig } from "../../kube/index.ts";
import { askFromWithin } from "./ask-from-within.ts";
import type { AskPod, PodAddress } from "./pod-http.ts";

const address: PodAddress = { namespace: "istio-system", pod: "istiod-1", ip: "10.0.0.1", port: 8080 };
const config: KubeConfig = { server: "http://127.0.0.1:9", context: "test", namespace: "default" };
const answering =
  (status: number): AskPod =>
  async () =>
    await Promise.resolve({ status, text: "first" });

test("an answered request is not repeated", async () => {
  for (const status of [200, 404, 500])
    assert.equal(
      (await askFromWithin(answering(status), config)(address, "/debug/syncz", AbortSignal.timeout(5_000))).status,
      status,
    );
});

test("without the right to forward ports, the first answer is returned", async () => {
  assert.deepEqual(await askFromWithin(answering(401), config)(address, "/debug/syncz", AbortSignal.timeout(5_000)), {
    status: 401,
    text: "first",
  });
});
