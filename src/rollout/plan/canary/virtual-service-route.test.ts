import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "../../../base/index.ts";
import type { TrafficMatch } from "../../../api/serin/index.ts";
import { destinationPairing, hostNamespacePairing } from "./pairings.ts";
import { noTraffic } from "./traffic.ts";
import { virtualServiceRoutes } from "./virtual-service-route.ts";

const pairing = destinationPairing("shop", { host: "web", subset: "v1" }, { host: "web", subset: "v2" });
const list: Tree[] = [
  { name: "health", match: [{ uri: { exact: "/health" } }], directResponse: { status: 200 } },
  {
    name: "pages",
    match: [{ uri: { prefix: "/" }, gateways: ["mesh"] }],
    timeout: "3s",
    retries: { attempts: 2 },
    route: [
      {
        destination: { host: "web.shop.svc.cluster.local", subset: "v1", port: { number: 80 } },
        headers: { request: { set: { a: "b" } } },
      },
    ],
  },
];
const match = (more: Partial<TrafficMatch>): TrafficMatch => ({
  headers: [],
  cookies: [],
  queryParams: [],
  paths: [],
  sourceLabels: {},
  ...more,
});
const routes = (traffic: Partial<typeof noTraffic>): Tree[] =>
  virtualServiceRoutes(
    list,
    "http",
    (index) => (index === 1 ? pairing : undefined),
    { ...noTraffic, ...traffic },
    "VirtualService shop/web",
  );

test("weights split the one route for any spelling of its host, and keep its other fields", () => {
  const [first, second] = routes({ weight: 30 });
  assert.equal(first, list[0]);
  const host = "web.shop.svc.cluster.local";
  const headers = { request: { set: { a: "b" } } };
  assert.deepEqual(second, {
    ...list[1],
    route: [
      { destination: { host, subset: "v1", port: { number: 80 } }, headers, weight: 70 },
      { destination: { host: "web", subset: "v2", port: { number: 80 } }, headers, weight: 30 },
    ],
  });
});

test("a match becomes a preceding route with the route's own conditions and another name", () => {
  const [, special] = routes({
    matches: [
      match({
        headers: [{ name: "X-Team", type: "Prefix", value: "a" }],
        cookies: [{ name: "beta", value: "1" }],
        queryParams: [{ name: "q", type: "Regex", value: ".+" }],
        sourceLabels: { app: "client" },
        paths: [{ type: "Exact", value: "/cart" }],
      }),
    ],
  });
  assert.equal(special?.["name"], "pages-canary");
  assert.deepEqual(special?.["match"], [
    {
      uri: { exact: "/cart" },
      gateways: ["mesh"],
      headers: { "x-team": { prefix: "a" }, cookie: { regex: String.raw`(?:.*;\s*)?(?:beta=1)(?:;.*)?` } },
      queryParams: { q: { regex: ".+" } },
      sourceLabels: { app: "client" },
    },
  ]);
  assert.deepEqual(special?.["timeout"], "3s");
});

test("a mirror uses the field mirror, and is rejected, with its name, beside the user's own", () => {
  const [, pages] = routes({ mirrors: [{ to: "canary", percent: 10 }] });
  assert.deepEqual(
    [pages?.["mirror"], pages?.["mirrorPercentage"]],
    [{ host: "web", subset: "v2", port: { number: 80 } }, { value: 10 }],
  );
  const taken = [{ ...list[1], mirror: { host: "log" } }];
  assert.throws(
    () =>
      virtualServiceRoutes(
        taken,
        "http",
        () => pairing,
        { ...noTraffic, mirrors: [{ to: "canary", percent: 10 }] },
        "VirtualService shop/web",
      ),
    /VirtualService shop\/web http route pages mirrors requests already/,
  );
});

test("connections move by weight and by the caller's labels", () => {
  const tcp: Tree[] = [{ match: [{ port: 9000 }], route: [{ destination: { host: "web", subset: "v1" } }] }];
  const moved = virtualServiceRoutes(
    tcp,
    "tcp",
    () => pairing,
    { ...noTraffic, weight: 50, matches: [match({ sourceLabels: { app: "a" } })] },
    "VirtualService shop/web",
  );
  assert.deepEqual(
    moved.map((route) => [route["match"], (route["route"] as { weight: number }[]).map(({ weight }) => weight)]),
    [
      [[{ port: 9000, sourceLabels: { app: "a" } }], [1]],
      [[{ port: 9000 }], [50, 50]],
    ],
  );
});

test("hosts of a namespace are split with the hosts of the same name in the other namespace", () => {
  const twins = hostNamespacePairing("shop", "shop", "shop-2");
  assert.deepEqual(twins.canaryOf({ destination: { host: "web", port: { number: 80 } } }), {
    destination: { host: "web.shop-2.svc.cluster.local", port: { number: 80 } },
  });
  assert.equal(twins.isStable({ destination: { host: "web.other" } }), false);
});
