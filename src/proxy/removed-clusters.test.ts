import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, toBinary, type DescMessage, type JsonObject } from "@bufbuild/protobuf";
import { ClusterSchema, envoyRegistry, ListenerSchema } from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { standaloneServices } from "./filters/filter-services.ts";
import type { HttpFilter } from "./filters/http-filter.ts";
import type { ListenerSpec } from "./listener/listener-spec.ts";
import type { ListenerSet } from "./listener-set.ts";
import { aloneConfig } from "./testing/alone-config.ts";
import { httpListener } from "./testing/ads-server.ts";
import { testRequest } from "./testing/filter-request.ts";

const filterType = "type.googleapis.com/envoy.extensions.filters.http";

function listenerOf(path: string): JsonObject {
  const httpUri = { uri: `http://keys.test/${path}`, cluster: "keys", timeout: "1s" };
  const httpFilters = [
    {
      name: "jwt",
      typedConfig: {
        "@type": `${filterType}.jwt_authn.v3.JwtAuthentication`,
        providers: { p: { remoteJwks: { httpUri } } },
        rules: [{ match: { prefix: "/" }, requires: { providerName: "p" } }],
      },
    },
    { name: "router", typedConfig: { "@type": `${filterType}.router.v3.Router` } },
  ];
  return httpListener(8080, "routes", { httpFilters }) as JsonObject;
}

const token = [{ alg: "RS256" }, { iss: "issuer.test" }, {}]
  .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
  .join(".");

test("a filter that is compiled after its cluster's removal cannot fetch keys there while an open connection keeps the cluster", async () => {
  const reached: string[] = [];
  const { config, apply: applyUpdate } = aloneConfig({
    resolve: () => Promise.resolve({ addresses: ["192.0.2.1"] }),
    services: {
      ...standaloneServices(),
      callCluster: ({ path }) => {
        reached.push(path);
        return Promise.reject(new Error("it has no keys"));
      },
    },
  });
  let filter: HttpFilter | undefined;
  config.attach({
    needsRemoved: true,
    set: ({ chains: [chain] }: ListenerSpec) => {
      if (chain?.serves.kind === "http") [filter] = chain.serves.http.connection.filters;
    },
    routeNames: () => new Set(),
    discoveries: () => [],
    tlsSpecs: () => [],
    proceed: () => undefined,
  } as unknown as ListenerSet);
  const apply = async (typeUrl: string, schema: DescMessage, name: string, json?: JsonObject): Promise<void> => {
    const body = (): Uint8Array => toBinary(schema, fromJson(schema, json ?? {}, { registry: envoyRegistry() }));
    await applyUpdate({
      typeUrl,
      resources: json === undefined ? [] : [{ name, aliases: [], version: "1", typeUrl, body: body() }],
      removed: json === undefined ? [name] : [],
    });
  };
  const cluster = async (json?: JsonObject): Promise<void> =>
    await apply(typeUrls.cluster, ClusterSchema, "keys", json);
  const filterOf = async (path: string): Promise<HttpFilter> => {
    await apply(typeUrls.listener, ListenerSchema, "l", listenerOf(path));
    return filter ?? assert.fail("there is no filter");
  };
  const sendTo = async (filter: HttpFilter): Promise<void> => {
    const request = testRequest("/", { headers: { authorization: `Bearer ${token}` } });
    const reply = await filter.onRequest?.(request, () => new AbortController().signal);
    assert.equal(reply?.status, 401);
  };
  await cluster({ name: "keys", type: "STATIC" });
  const before = await filterOf("before");
  await cluster();
  const after = await filterOf("after");
  await sendTo(before);
  await sendTo(after);
  assert.deepEqual(reached, ["/before"]);
  await cluster({ name: "keys", type: "STATIC" });
  await sendTo(await filterOf("again"));
  assert.deepEqual(reached, ["/before", "/again"]);
});
