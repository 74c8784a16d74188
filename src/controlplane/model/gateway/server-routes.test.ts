import { hostCovers } from "../../../api/istio/index.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { VirtualServiceModel } from "../routing/virtual-service.ts";
import type { GatewayServerModel } from "./classic-gateway.ts";
import { serverRoutes } from "./server-routes.ts";

const names = ["a.x", "b.x", "c.y", "*.x", "*.b.x", "q.b.x", "*", "*x", "z.b.x", "*.z", "*b.x", "x"];
const host = fc.constantFrom(...names);
const serverHost = fc.oneof(
  host,
  host.map((name) => `shop/${name}`),
  host.map((name) => `other/${name}`),
);

function serverOf(hosts: readonly string[], index: number): GatewayServerModel {
  return {
    gateway: "shop/public",
    kind: "http",
    port: 8_000 + index,
    declaredPort: 8_000 + index,
    bind: "",
    name: "",
    hosts,
    tls: undefined,
    routeName: "",
  };
}

function virtualServiceOf(namespace: string, hosts: readonly string[]): VirtualServiceModel {
  return {
    namespace,
    name: `v-${namespace}`,
    createdAt: "",
    hosts,
    gateways: ["shop/public"],
    visibleIn: ["*"],
    http: [],
    tls: [],
    tcp: [],
  };
}

/**
 * The hosts that a server and a VirtualService have in common, found by comparing all pairs: the narrower host of each
 * pair.
 */
function expected(server: GatewayServerModel, model: VirtualServiceModel): readonly string[] {
  const own = server.hosts.flatMap((text) => {
    const [namespace, name] = text.includes("/") ? text.split("/") : ["", text];
    return namespace === "" || namespace === model.namespace ? (name ?? "") : [];
  });
  const pairs = own.flatMap((left) =>
    model.hosts.flatMap((right) => (hostCovers(left, right) ? right : hostCovers(right, left) ? left : [])),
  );
  return [...new Set(pairs)].sort();
}

test("a VirtualService has routes at the servers that have hosts in common with it, for these hosts", () => {
  const hosts = fc.array(host, { minLength: 1, maxLength: 5 });
  const servers = fc.array(fc.array(serverHost, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(servers, hosts, hosts, (lists, ours, theirs) => {
      const own = lists.map(serverOf);
      const models = [virtualServiceOf("shop", ours), virtualServiceOf("other", theirs)];
      const { of } = serverRoutes({ servers: own }, () => models);
      for (const server of own)
        assert.deepEqual(
          (of.get(server) ?? []).map(({ model, hosts: found }) => [model.namespace, [...found].sort()]),
          models.flatMap((model) => {
            const common = expected(server, model);
            return common.length === 0 ? [] : [[model.namespace, common]];
          }),
        );
    }),
    { numRuns: 2_000 },
  );
});
