import assert from "node:assert/strict";
import { test } from "node:test";
import { userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { listProxies } from "./pilots.ts";

test("the rollout engine is no proxy of an istiod of upstream Istio that it asks for debug pages", async () => {
  const listed = [{ proxy: "serin-rollout.istio-system" }, { proxy: "serin-rollout.shop" }, { proxy: "web-1.shop" }];
  const client = {
    raw: async (_verb: string, path: string) =>
      await Promise.resolve(
        path.endsWith("/debug/syncz")
          ? { status: 200, headers: {}, text: JSON.stringify(listed) }
          : { status: 404, headers: {}, text: "404 page not found\n" },
      ),
    get: async () => await Promise.reject(userError("not-found", "no")),
  } as unknown as KubeClient;
  const pilot = { pod: "istiod-1", namespace: "istio-system", revision: "default" };
  assert.deepEqual(
    (await listProxies(client, pilot)).map(({ id }) => id),
    ["serin-rollout.shop", "web-1.shop"],
  );
});
