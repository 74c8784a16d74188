import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { until } from "../base/testing/index.ts";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort, TestAuthority } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce } from "./testing/harness.ts";
import { connectionManager, gatewayTls, outboundCluster, router } from "./testing/mesh-config.ts";
import { certificateSecret, rootsSecret, SecretProvider } from "./testing/secret-provider.ts";
import { TestProxy } from "./testing/test-proxy.ts";

const certs = "outbound|8443||certs.vault.svc.cluster.local";

const secret = (name: string): JsonValue => ({
  name,
  sdsConfig: {
    apiConfigSource: {
      apiType: "GRPC",
      grpcServices: [{ envoyGrpc: { clusterName: certs, authority: "certs.vault.svc.cluster.local" } }],
    },
    resourceApiVersion: "V3",
  },
});

const http = connectionManager({
  rds: { configSource: { ads: {} }, routeConfigName: "routes" },
  httpFilters: [router],
});

/** The provider's cluster speaks HTTP/2, as a cluster for a gRPC port does. */
const certsCluster = (connectTimeout = "10s"): JsonValue => ({
  ...(outboundCluster(certs, "certs", "") as JsonObject),
  connectTimeout,
  typedExtensionProtocolOptions: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicitHttpConfig: { http2ProtocolOptions: {} },
    },
  },
});

/** A gateway whose HTTPS listener has its certificate, and the roots of its clients, from a provider. */
async function gateway(provider: Pick<SecretProvider, "port">, verifiesClients = false, workers = 1) {
  const own = new FakeCertificateAuthority();
  const proxy = await TestProxy.start({ name: "gateway", role: "router", authority: own, workers });
  const backend = createHttpServer((_request, response) => response.end("hello"));
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  const { ads } = proxy;
  const port = await freePort();
  const validation = { combinedValidationContext: { validationContextSdsSecretConfig: secret("shop-cacert") } };
  const transportSocket = gatewayTls("", {
    tlsCertificateSdsSecretConfigs: [secret("shop")],
    ...(verifiesClients ? validation : {}),
  });
  ads.push(typeUrls.cluster, { a: outboundCluster("a", "a", ""), [certs]: certsCluster() });
  ads.push(typeUrls.endpoint, {
    a: plainEndpoints("a", [(backend.address() as AddressInfo).port]),
    [certs]: plainEndpoints(certs, [provider.port]),
  });
  ads.push(typeUrls.listener, {
    https: {
      name: "https",
      address: { socketAddress: { address: "127.0.0.1", portValue: port } },
      filterChains: [{ transportSocket, filters: [http] }],
    },
  });
  ads.push(typeUrls.route, { routes: weightedRoute("routes", { a: 1 }) });
  return {
    proxy,
    ads,
    get: (more: RequestOptions = {}) => fingerprint(port, more),
    [Symbol.asyncDispose]: async () => {
      backend.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

function fingerprint(port: number, more: RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      servername: "shop.test",
      rejectUnauthorized: false,
      agent: false,
      ...more,
    };
    const call = httpsRequest(options, (response) => {
      const shown = (response.socket as TLSSocket).getPeerCertificate().fingerprint256;
      response.resume();
      response.on("end", () => (response.statusCode === 200 ? resolve(shown) : reject(new Error("not 200"))));
    });
    call.on("error", reject);
    call.end();
  });
}

const authority = await TestAuthority.create();

test("a gateway takes certificates and clients' roots from an SDS provider, and follows their rotation", async () => {
  await using provider = await SecretProvider.start();
  provider.put("shop", certificateSecret("shop", await authority.issue({ dns: "shop.test" })));
  provider.put("shop-cacert", rootsSecret("shop-cacert", authority.roots));
  await using one = await gateway(provider, true);
  await one.proxy.ready();
  const clerk = await authority.issue({ spiffe: "spiffe://test/ns/a/sa/clerk" });
  const shown = { cert: clerk.certificateChain, key: clerk.privateKey };
  const first = await one.get(shown);
  const stranger = await (await TestAuthority.create()).issue({ spiffe: "spiffe://test/ns/a/sa/clerk" });
  await assert.rejects(one.get({ cert: stranger.certificateChain, key: stranger.privateKey }));

  const begin = provider.requests.find(({ resourceNames }) => resourceNames.includes("shop"));
  assert.deepEqual(
    [begin?.typeUrl, begin?.resourceNames, begin?.node?.id.split("~")[0], begin?.versionInfo],
    [typeUrls.secret, ["shop"], "router", ""],
  );
  provider.put("shop", certificateSecret("shop", await authority.issue({ dns: "shop.test" })));
  await until(async () => (await one.get(shown)) !== first);
  await until(() => provider.requests.some(({ versionInfo }) => versionInfo === "3"));
  const answers = provider.requests.filter(({ responseNonce }) => responseNonce !== "");
  assert.deepEqual(
    answers.map((answer) => [answer.versionInfo === answer.responseNonce, answer.errorDetail, answer.node]),
    Array.from({ length: 3 }, () => [true, undefined, undefined]),
  );

  const { configs } = JSON.parse((await fetchOnce(one.proxy.ports.admin, "/config_dump")).body) as {
    configs: { "@type": string; dynamic_active_secrets?: { name: string }[] }[];
  };
  const names = configs.flatMap(({ dynamic_active_secrets: secrets }) => (secrets ?? []).map(({ name }) => name));
  assert.deepEqual(names.sort(), ["ROOTCA", "default", "shop", "shop-cacert"]);
});

test("each of several workers requests the secrets itself", async () => {
  await using provider = await SecretProvider.start();
  provider.put("shop", certificateSecret("shop", await authority.issue({ dns: "shop.test" })));
  await using one = await gateway(provider, false, 2);
  await one.proxy.ready();
  const first = await one.get();
  assert.deepEqual(provider.asked, ["shop", "shop"]);
  provider.put("shop", certificateSecret("shop", await authority.issue({ dns: "shop.test" })));
  await until(async () => (await one.get()) !== first);
});

test("an unusable secret gets a NACK with the reason, and the previous secret stays in force", async () => {
  await using provider = await SecretProvider.start();
  const good = await authority.issue({ dns: "shop.test" });
  const other = await authority.issue({ dns: "shop.test" });
  provider.put("shop", certificateSecret("shop", good));
  await using one = await gateway(provider);
  await one.proxy.ready();
  const before = await one.get();
  const refusal = async (given: JsonValue): Promise<string> => {
    const from = provider.requests.length;
    provider.put("shop", given);
    await until(() => provider.requests.length > from);
    const answer = provider.requests[from];
    assert.equal(answer?.versionInfo, "1");
    return answer.errorDetail?.message ?? "";
  };
  assert.match(
    await refusal(certificateSecret("shop", { ...good, privateKey: other.privateKey })),
    /the certificate, key, roots or revocation lists cannot be used/,
  );
  assert.equal(await refusal(certificateSecret("late", good)), "the secret late; expected the secret shop");
  assert.match(await refusal({ name: "shop" }), /secret shop: an empty secret is not supported/);
  assert.equal(await one.get(), before);
});

test("connections fail at once while the provider has no such secret, and the listener serves when it comes", async () => {
  await using provider = await SecretProvider.start();
  provider.put("shop", undefined);
  await using one = await gateway(provider);
  await one.proxy.ready();
  await assert.rejects(one.get());
  assert.ok(one.proxy.log.some((line) => line.includes("the SDS provider has no such secret")));
  provider.put("shop", certificateSecret("shop", await authority.issue({ dns: "shop.test" })));
  await until(async () => (await one.get().catch(() => "")) !== "");
});

test("the proxy requests secrets again when the provider returns, states the version that it has, and serves meanwhile", async () => {
  const port = await freePort();
  const issued = certificateSecret("shop", await authority.issue({ dns: "shop.test" }));
  await using one = await gateway({ port });
  await until(() => one.proxy.log.some((line) => line.includes("an SDS provider cannot be asked for a secret")));
  let first = "";
  {
    await using provider = await SecretProvider.start(port);
    provider.put("shop", issued);
    await one.proxy.ready();
    await until(async () => (first = await one.get().catch(() => "")) !== "");
  }
  assert.equal(await one.get(), first);
  await using again = await SecretProvider.start(port);
  await until(() => again.requests.length > 0);
  assert.equal(again.requests[0]?.versionInfo, "1");
  again.put("shop", certificateSecret("shop", await authority.issue({ dns: "shop.test" })));
  await until(async () => (await one.get()) !== first);
});

test("a replaced cluster gets a new stream, and the streams of a removed listener end", async () => {
  await using provider = await SecretProvider.start();
  provider.put("shop", certificateSecret("shop", await authority.issue({ dns: "shop.test" })));
  await using one = await gateway(provider);
  await one.proxy.ready();
  const begun = (): number => provider.requests.filter(({ responseNonce }) => responseNonce === "").length;
  assert.deepEqual([provider.asked, begun()], [["shop"], 1]);
  one.ads.push(typeUrls.cluster, { [certs]: certsCluster("5s") });
  await until(() => begun() === 2);
  assert.deepEqual(provider.asked, ["shop"]);
  one.ads.push(typeUrls.listener, {}, ["https"]);
  await until(() => provider.asked.length === 0);
});
