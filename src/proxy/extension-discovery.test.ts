import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../base/testing/index.ts";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce, Harness } from "./testing/harness.ts";
import { TestProxy } from "./testing/test-proxy.ts";

const faultType = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
const rbacType = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";

const router = {
  name: "envoy.filters.http.router",
  typedConfig: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
};

const answering = (httpStatus: number): JsonObject => ({
  "@type": faultType,
  abort: { httpStatus, percentage: { numerator: 100 } },
});

const extension = (name: string, typedConfig: JsonObject): Record<string, JsonValue> => ({
  [name]: { name, typedConfig },
});

const discovered = (name: string, more: JsonObject = {}, initialFetchTimeout = "0s"): JsonObject => ({
  name,
  configDiscovery: { configSource: { ads: {}, initialFetchTimeout }, typeUrls: [faultType], ...more },
});

async function gateway(...filters: readonly JsonObject[]) {
  const backends = await Harness.start();
  const backend = await backends.backend((_, response) => response.end("hello"));
  const proxy = await TestProxy.start({ name: "gateway", role: "router", authority: new FakeCertificateAuthority() });
  const { ads } = proxy;
  const port = await freePort();
  const listen = (httpFilters: readonly JsonObject[]): void =>
    ads.push(typeUrls.listener, {
      [`listener_${port}`]: httpListener(port, "http.80", { httpFilters: [...httpFilters, router] }),
    });
  ads.push(typeUrls.cluster, { a: edsCluster("a", "a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [backend.port]) });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 100 }) });
  listen(filters);
  const dump = async (): Promise<JsonObject[]> => {
    const { configs } = JSON.parse((await fetchOnce(proxy.ports.admin, "/config_dump")).body) as {
      configs: { "@type": string; ecds_filters?: JsonObject[] }[];
    };
    return configs.find((one) => one["@type"].endsWith(".EcdsConfigDump"))?.ecds_filters ?? [];
  };
  /** Applies filter configurations. Returns the NACK's text, or undefined for an ACK. */
  const put = async (resources: Record<string, JsonValue>, removed: readonly string[] = []) => {
    const from = ads.acknowledgements.length;
    ads.push(typeUrls.extensionConfig, resources, removed);
    return (await ads.acknowledged(typeUrls.extensionConfig, from)).error;
  };
  return {
    proxy,
    ads,
    listen,
    put,
    dump,
    status: async () => (await fetchOnce(port, "/")).status,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await backends[Symbol.asyncDispose]();
    },
  };
}

test("a listener waits for its filters' configuration, and a change replaces the filter and not the listener", async () => {
  await using one = await gateway(discovered("f"), discovered("g"));
  const { proxy, ads } = one;
  await until(() => ads.hasAskedFor(typeUrls.extensionConfig));
  const { body } = await fetchOnce(proxy.ports.readiness, "/healthz/ready");
  assert.match(body, /filter configuration f, filter configuration g/);
  assert.equal(await one.put({ ...extension("f", answering(418)), ...extension("g", answering(500)) }), undefined);
  await proxy.ready();
  assert.equal(await one.status(), 418);
  const listeners = (): number => ads.acknowledgements.filter(({ typeUrl }) => typeUrl === typeUrls.listener).length;
  const before = listeners();
  assert.equal(await one.put(extension("f", answering(451))), undefined);
  assert.deepEqual([await one.status(), listeners()], [451, before]);
  assert.deepEqual(
    (await one.dump()).map(({ ecds_filter }) => ecds_filter),
    [
      {
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        name: "f",
        typed_config: { "@type": faultType, abort: { http_status: 451, percentage: { numerator: 100 } } },
      },
      {
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        name: "g",
        typed_config: { "@type": faultType, abort: { http_status: 500, percentage: { numerator: 100 } } },
      },
    ],
  );
});

test("each refused configuration is named, its previous one stays, and the others of the response are in force", async () => {
  await using one = await gateway(discovered("f"), discovered("g"));
  await one.put({ ...extension("f", { "@type": faultType }), ...extension("g", answering(418)) });
  await one.proxy.ready();
  assert.equal(await one.status(), 418);
  const wrongType = await one.put({
    ...extension("f", answering(451)),
    ...extension("g", { "@type": rbacType, rules: {} }),
  });
  assert.match(String(wrongType), /the HTTP filter g: its configuration is a .*RBAC, expected .*HTTPFault$/);
  assert.equal(await one.status(), 451);
  const wrongField = await one.put(extension("f", { ...answering(500), upstreamCluster: "c" }));
  assert.match(String(wrongField), /the HTTP filter f: the field upstreamCluster is not supported/);
  assert.equal(await one.status(), 451);
});

test("a removed configuration stays until no listener names it, and is then no longer requested", async () => {
  await using one = await gateway(discovered("f"));
  await one.put(extension("f", answering(418)));
  await one.proxy.ready();
  await one.put({}, ["f"]);
  assert.equal(await one.status(), 418);
  one.listen([]);
  await until(async () => (await one.status()) === 200);
  assert.deepEqual(await one.dump(), []);
});

test("a default applies without warming at once, and again when the configuration is removed", async () => {
  await using one = await gateway(
    discovered("f", { defaultConfig: answering(503), applyDefaultConfigWithoutWarming: true }),
  );
  await one.proxy.ready();
  assert.equal(await one.status(), 503);
  await one.put(extension("f", answering(418)));
  assert.equal(await one.status(), 418);
  await one.put({}, ["f"]);
  assert.equal(await one.status(), 503);
});

for (const [title, more, status] of [
  ["a default applies", { defaultConfig: answering(503) }, 503],
  ["requests are answered with 500", {}, 500],
] as const)
  test(`if a configuration has not come within initialFetchTimeout, ${title}`, async () => {
    await using one = await gateway(discovered("f", more, "0.3s"));
    await one.proxy.ready();
    assert.equal(await one.status(), status);
    await one.put(extension("f", answering(418)));
    assert.equal(await one.status(), 418);
  });

for (const [title, more, status] of [
  ["a default applies", { defaultConfig: answering(503) }, 503],
  ["requests are answered with 500", {}, 500],
] as const)
  test(`if the first configuration is refused, the listener serves: ${title} until a valid one comes`, async () => {
    await using one = await gateway(discovered("f", more));
    await until(() => one.ads.hasAskedFor(typeUrls.extensionConfig));
    assert.match(String(await one.put(extension("f", { "@type": rbacType, rules: {} }))), /RBAC, expected/);
    await one.proxy.ready();
    assert.equal(await one.status(), status);
    // A listener that is added later does not wait for a valid configuration either.
    one.listen([{ name: "own", typedConfig: answering(451) }, discovered("f", more)]);
    await until(async () => (await one.status()) === 451);
    one.listen([discovered("f", more)]);
    await until(async () => (await one.status()) === status);
    assert.equal(await one.put(extension("f", answering(418))), undefined);
    assert.equal(await one.status(), 418);
  });
