import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { envoyRegistry, ListenerSchema } from "../../wire/envoy/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { SecretStore } from "../tls/secret-store.ts";
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
    secrets: { certificate: () => undefined, roots: () => undefined, applied: () => [], fromFiles: () => none },
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

test("a dump lists the certificates and roots of files by the names that Istio's agent gives them, without keys", async () => {
  const secrets = new SecretStore({
    certificates: { peek: () => undefined, fetch: () => Promise.reject(new Error("no authority")) },
    identity: "spiffe://a/ns/b/sa/c",
    readFile: (path) => Promise.resolve(`content of ${path}`),
    clock: systemClock,
    log: silentLogger,
  });
  const read = (): void => {
    secrets.certificate({ kind: "sds", name: "file-cert:/tls/tls.crt~/tls/tls.key" });
    secrets.roots({ kind: "file", path: "/tls/ca.crt" });
  };
  read();
  await secrets.changed(AbortSignal.timeout(5000));
  await setImmediate();
  read();
  const none = new Map();
  const sources = {
    settings: { ports: {}, metadata: {}, xdsUrl: "https://istiod:15012" },
    config: { clusters: none, endpoints: none, routes: none, extensions: none, listeners: none },
    listeners: { listeners: () => [], discoveries: () => [] },
    secrets,
    startedMs: 0,
    nodeId: "x",
  } as unknown as DumpSources;
  const dump = configDump(sources, false).find(({ "@type": type }) => String(type).endsWith("SecretsConfigDump"));
  const found = (dump?.["dynamic_active_secrets"] ?? []) as { readonly name: string; readonly secret: object }[];
  assert.deepEqual(
    found.map(({ name }) => name),
    ["file-cert:/tls/tls.crt~/tls/tls.key", "file-root:/tls/ca.crt"],
  );
  const text = JSON.stringify(found);
  assert.ok(text.includes(Buffer.from("content of /tls/tls.crt").toString("base64")));
  assert.ok(!text.includes(Buffer.from("content of /tls/tls.key").toString("base64")));
});
