import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayKind, httpRouteKind } from "../../api/gateway/index.ts";
import { transientError, userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { ServedVersionClient } from "./served-version-client.ts";

test("an older Gateway API version is used where the cluster has no newer one, and the newer one as soon as it appears", async () => {
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
      if (!served.has(`/apis/gateway.networking.k8s.io/${kind.versions[0] ?? ""}`))
        throw userError("not-found", "no such version");
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

test("concurrent requests for kinds of one group cause one discovery request, and a failed one is repeated", async () => {
  const paths: string[] = [];
  let isAway = true;
  const inner = {
    raw: async (_method: string, path: string) => {
      paths.push(path);
      if (isAway) throw transientError("unreachable", "away");
      return {
        status: 200,
        headers: {},
        text: JSON.stringify({ resources: [{ name: "httproutes" }, { name: "gateways" }] }),
      };
    },
    list: async () => ({ items: [], resourceVersion: "1" }),
  } as unknown as KubeClient;
  const client = new ServedVersionClient(inner);
  await assert.rejects(client.list(httpRouteKind), /away/);
  isAway = false;
  await Promise.all([client.list(httpRouteKind), client.list(gatewayKind)]);
  assert.deepEqual(paths, ["/apis/gateway.networking.k8s.io/v1", "/apis/gateway.networking.k8s.io/v1"]);
});
