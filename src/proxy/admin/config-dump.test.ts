import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { envoyRegistry, ListenerSchema } from "../../wire/envoy/index.ts";
import { configDump, type DumpSources } from "./config-dump.ts";

const manager = (routes: JsonObject): JsonObject => ({
  name: "envoy.filters.network.http_connection_manager",
  typedConfig: {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    statPrefix: "x",
    ...routes,
  },
});

test("the routes of a listener are dumped as static routes, including those of its last chain", () => {
  const listener = fromJson(
    ListenerSchema,
    {
      name: "main_internal",
      filterChains: [
        {
          filters: [
            manager({
              routeConfig: { name: "inbound-vip|80|http|web", virtualHosts: [{ name: "any", domains: ["*"] }] },
            }),
          ],
        },
        { filters: [manager({ rds: { routeConfigName: "80", configSource: { ads: {} } } })] },
      ],
      defaultFilterChain: { filters: [manager({ routeConfig: { name: "encap" } })] },
    },
    { registry: envoyRegistry() },
  );
  const none = new Map();
  const sources = {
    settings: { ports: {}, metadata: {}, xdsUrl: "https://istiod:15012" },
    config: {
      clusters: none,
      endpoints: none,
      routes: none,
      extensions: none,
      listeners: new Map([
        ["main_internal", { version: "1", updatedMs: 0, body: new Uint8Array(), message: () => listener }],
      ]),
    },
    listeners: { listeners: () => [], discoveries: () => [] },
    secrets: { certificate: () => undefined, roots: () => undefined, applied: () => [] },
    startedMs: 0,
    nodeId: "x",
  } as unknown as DumpSources;
  const dump = configDump(sources, false);
  const routes = dump.find(
    ({ "@type": type }) => String(type).endsWith("RoutesConfigDump") && !String(type).includes("Scoped"),
  );
  const found = (routes?.["static_route_configs"] ?? []) as { route_config: { name: string } }[];
  assert.deepEqual(
    found.map(({ route_config: { name } }) => name),
    ["inbound-vip|80|http|web", "encap"],
  );
  assert.deepEqual(routes?.["dynamic_route_configs"], []);
});
