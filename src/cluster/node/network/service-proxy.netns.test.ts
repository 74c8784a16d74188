import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Service } from "../../../api/kubernetes/index.ts";
import { silentLogger } from "../../../base/index.ts";
import type { Informer } from "../../../kube/index.ts";
import { NftNetlink } from "../../../net/index.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import { ServiceProxy } from "./service-proxy.ts";

requireOwnNetwork();

/** An informer of objects that do not change. */
function informerOf<Value extends Service | EndpointSlice>(objects: readonly Value[]): Informer<Value> {
  return {
    synced: Promise.resolve(),
    list: () => objects,
    get: (key: string) => objects.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === key),
    subscribe: () => ({ [Symbol.dispose]: () => undefined }),
  } as unknown as Informer<Value>;
}

function service(name: string, clusterIP: string, timeoutSeconds: number): Service {
  return {
    metadata: { name, namespace: "shop" },
    spec: {
      clusterIP,
      sessionAffinity: "ClientIP",
      sessionAffinityConfig: { clientIP: { timeoutSeconds } },
      ports: [{ name: "http", port: 80 }],
    },
  };
}

function slice(name: string): EndpointSlice {
  return {
    metadata: { name, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.244.1.2"] }],
    ports: [{ name: "http", port: 8080 }],
  };
}

test("when a node starts, a Service whose rules are refused does not affect the rules of other Services", async () => {
  const refused: string[] = [];
  const proxy = new ServiceProxy({
    nodeName: "a",
    nodes: [],
    services: informerOf([service("impossible", "10.96.0.20", -5), service("web", "10.96.0.21", 10)]),
    endpointSlices: informerOf([slice("impossible"), slice("web")]),
    podAddresses: () => [],
    onLoadBalancers: () => undefined,
    log: { ...silentLogger, error: (_text, fields) => void refused.push(String(fields?.["service"] ?? "all")) },
  });
  const stop = new AbortController();
  const running = proxy.run(stop.signal);
  using netlink = new NftNetlink();
  let chains: readonly string[] = [];
  for (let turn = 0; turn < 100 && !chains.includes("all/shop/web/http/tcp"); turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    chains = netlink.chains("ip", "serin-services");
  }
  stop.abort();
  await running;
  assert.ok(chains.includes("all/shop/web/http/tcp"), chains.join(" "));
  assert.deepEqual(refused, ["all", "shop/impossible"]);
});
