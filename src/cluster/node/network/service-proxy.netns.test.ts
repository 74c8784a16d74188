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

test("other work of the node runs between the ports of a Service with very many", async () => {
  const web: Service = {
    metadata: { name: "web", namespace: "shop" },
    spec: {
      clusterIP: "10.96.0.22",
      ports: Array.from({ length: 100 }, (_, index) => ({ name: `p${index}`, port: index + 1 })),
      externalIPs: ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
    },
  };
  let appear: () => void = () => undefined;
  let isThere = false;
  const services = {
    ...informerOf<Service>([]),
    get: () => (isThere ? web : undefined),
    subscribe: (handler: (change: { readonly key: string }) => void) => {
      appear = () => handler({ key: "shop/web" });
      return { [Symbol.dispose]: () => undefined };
    },
  } as unknown as Informer<Service>;
  const proxy = new ServiceProxy({
    nodeName: "a",
    nodes: [],
    services,
    endpointSlices: informerOf<EndpointSlice>([]),
    podAddresses: () => [],
    onLoadBalancers: () => undefined,
    log: silentLogger,
    turnMs: 0,
  });
  const stop = new AbortController();
  const running = proxy.run(stop.signal);
  using netlink = new NftNetlink();
  const count = (): number =>
    netlink.chains("ip", "serin-services").filter((name) => name.startsWith("all/shop/web/")).length;
  for (const wanted of [100, 0]) {
    await new Promise((resolve) => setImmediate(resolve));
    isThere = wanted > 0;
    appear();
    let turns = 0;
    const before = count();
    for (; count() !== wanted; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(turns >= 100, `from ${before} to ${wanted} ports in ${turns} turns`);
  }
  stop.abort();
  await running;
});
