import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { valueAt } from "../../testing/decode-resource.ts";
import { config, namespace, service } from "../../testing/model-fixture.ts";
import { createOutboundFixture } from "../../testing/outbound-fixture.ts";

test("a tunnel is that of the subset, or of the rule if the route names no subset or several destinations", () => {
  const { apply, serve } = createOutboundFixture();
  const host = "proxy";
  const tunnelTo = (targetHost: string) => ({ tunnel: { targetHost, targetPort: 443 } });
  const routes = {
    own: [{ destination: { host, subset: "own" } }],
    none: [{ destination: { host, subset: "none" } }],
    missing: [{ destination: { host, subset: "missing" } }],
    rule: [{ destination: { host } }],
    several: [
      { destination: { host, subset: "own" }, weight: 50 },
      { destination: { host, subset: "none" }, weight: 50 },
    ],
  };
  const names = Object.keys(routes) as (keyof typeof routes)[];
  apply(
    namespace("shop"),
    service("shop/proxy", "10.96.0.5", {}, [{ name: "tcp", port: 3128 }]),
    ...names.map((name, index) => service(`shop/${name}`, `10.96.1.${index}`, {}, [{ name: "tcp", port: 7000 }])),
    config("DestinationRule", "shop/proxy", {
      host,
      trafficPolicy: tunnelTo("2001:db8::9"),
      subsets: [{ name: "own", trafficPolicy: tunnelTo("far.test") }, { name: "none" }],
    }),
    ...names.map((name) => config("VirtualService", `shop/${name}`, { hosts: [name], tcp: [{ route: routes[name] }] })),
  );
  const listeners = serve().listeners();
  const tunnelOf = (index: number): unknown => {
    const filters = valueAt(listeners[`10.96.1.${index}_7000`], "filterChains", 0, "filters") as readonly JsonObject[];
    return valueAt(filters.at(-1), "typedConfig", "tunnelingConfig", "hostname");
  };
  assert.deepEqual(Object.fromEntries(names.map((name, index) => [name, tunnelOf(index)])), {
    own: "far.test:443",
    none: undefined,
    missing: undefined,
    rule: "[2001:db8::9]:443",
    several: "[2001:db8::9]:443",
  });
});
