import assert from "node:assert/strict";
import { test } from "node:test";
import { httpRouteKind } from "../../api/gateway/index.ts";
import { userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { ServedVersionClient } from "./served-version-client.ts";

test("an older Gateway API is spoken where the cluster has no newer one, and the newer one as soon as it is there", async () => {
  const served = new Map([["/apis/gateway.networking.k8s.io/v1alpha2", ["httproutes"]]]);
  const listed: string[] = [];
  const inner = {
    raw: async (_method: string, path: string) => {
      const names = served.get(path);
      if (names === undefined) throw userError("not-found", "no such version");
      return { status: 200, headers: {}, text: JSON.stringify({ resources: names.map((name) => ({ name })) }) };
    },
    list: async (kind: { versions: readonly string[] }) => {
      listed.push(kind.versions[0] ?? "");
      if (!served.has(`/apis/gateway.networking.k8s.io/${kind.versions[0] ?? ""}`)) throw userError("not-found", "no such version");
      return { items: [], resourceVersion: "1" };
    },
  } as unknown as KubeClient;
  const client = new ServedVersionClient(inner);
  await client.list(httpRouteKind);
  served.clear();
  served.set("/apis/gateway.networking.k8s.io/v1", ["httproutes"]);
  await assert.rejects(client.list(httpRouteKind));
  await client.list(httpRouteKind);
  assert.deepEqual(listed, ["v1alpha2", "v1alpha2", "v1"]);
});
