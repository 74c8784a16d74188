import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { RouteConfigurationSchema, VirtualHostSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { envoyTypes } from "../envoy-types-file.ts";
import { encodeResource, type EncodedResource } from "../translate/resource.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import { proxyConfigDump } from "./proxy-config-dump.ts";

const subscribed = (...resources: readonly EncodedResource[]) => ({
  wildcard: true,
  names: [],
  view: { all: () => resources },
});

test("a route configuration dump includes the virtual hosts that are sent separately, as the proxy shows it", () => {
  const tables = ["80", "81"].map((name) =>
    encodeResource(
      RouteConfigurationSchema,
      name,
      create(RouteConfigurationSchema, {
        name,
        vhds: { configSource: { configSourceSpecifier: { case: "ads", value: {} } } },
      }),
    ),
  );
  const table = encodeResource(
    RouteConfigurationSchema,
    "http.80",
    create(RouteConfigurationSchema, { name: "http.80", virtualHosts: [{ name: "a", domains: ["a"] }] }),
  );
  const host = encodeResource(
    VirtualHostSchema,
    "80/web",
    create(VirtualHostSchema, { name: "80/web", domains: ["web"] }),
  );
  const subscriptions = new Map([
    [typeUrls.route, subscribed(...tables, table)],
    [typeUrls.virtualHost, subscribed(host)],
  ]);
  const server = { streams: [{ proxy: { id: "web-1.shop" }, subscriptions }] } as unknown as DiscoveryServer;
  const { configs } = proxyConfigDump(server, "web-1.shop", envoyTypes()) as { configs: Record<string, unknown>[] };
  const routes = configs.find(({ "@type": type }) => String(type).endsWith("RoutesConfigDump"))?.[
    "dynamic_route_configs"
  ] as { route_config: object }[];
  const type = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
  assert.deepEqual(
    routes.map(({ route_config }) => route_config),
    [
      { "@type": type, name: "80", virtual_hosts: [{ name: "80/web", domains: ["web"] }] },
      { "@type": type, name: "81" },
      { "@type": type, name: "http.80", virtual_hosts: [{ name: "a", domains: ["a"] }] },
    ],
  );
});
