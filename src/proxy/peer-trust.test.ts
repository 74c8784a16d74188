import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer, request as httpsRequest, type RequestOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { until } from "../base/testing/index.ts";
import type { JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort, TestAuthority, type Issued } from "../net/testing/index.ts";
import { trustDomainsPrefix, typeUrls } from "../wire/xds/index.ts";
import { httpListener, plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce } from "./testing/harness.ts";
import {
  connectionManager,
  downstreamTls,
  gatewayTls,
  meshEndpoint,
  outboundCluster,
  router,
} from "./testing/mesh-config.ts";
import { TestProxy } from "./testing/test-proxy.ts";

const [mesh, other] = [new FakeCertificateAuthority(), await TestAuthority.create()];
const servers: Pick<Server, "close" | "closeAllConnections">[] = [];
after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

async function listening(server: Server | ReturnType<typeof createServer>): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const plainBackend = await listening(createHttpServer((_request, response) => response.end("in")));

async function securedBackend(issued: Issued): Promise<number> {
  return await listening(
    createServer(
      { cert: issued.certificateChain, key: issued.privateKey, requestCert: true, rejectUnauthorized: false },
      (_request, response) => response.end("out"),
    ),
  );
}

/** The status of a request to a listener with TLS, or why there is none. */
function enter(port: number, shown: Issued | undefined, more: RequestOptions = {}): Promise<string> {
  return new Promise((resolve) => {
    const options = {
      host: "127.0.0.1",
      port,
      servername: "shop.test",
      rejectUnauthorized: false,
      agent: false,
      headers: { host: "shop.test" },
      ...(shown === undefined ? {} : { cert: shown.certificateChain, key: shown.privateKey }),
      ...more,
    };
    const call = httpsRequest(options, (response) => {
      response.resume();
      response.on("end", () => resolve(String(response.statusCode)));
    });
    call.on("error", () => resolve("refused"));
    call.end();
  });
}

const http = connectionManager({ rds: { configSource: { ads: {} }, routeConfigName: "in" }, httpFilters: [router] });
const tlsListener = (port: number, transportSocket: JsonValue): JsonValue => ({
  name: "secured",
  address: { socketAddress: { address: "127.0.0.1", portValue: port } },
  filterChains: [{ transportSocket, filters: [http] }],
});
const inline = (text: string): JsonValue => ({ inlineBytes: Buffer.from(text).toString("base64") });
const rootsSecret = (name: string, revocations?: string): JsonValue => ({
  name,
  validationContext: {
    trustedCa: inline(other.roots),
    ...(revocations === undefined ? {} : { crl: inline(revocations) }),
  },
});
const certificateSecret = (name: string, issued: Issued): JsonValue => ({
  name,
  tlsCertificate: { certificateChain: inline(issued.certificateChain), privateKey: inline(issued.privateKey) },
});

test("with PROXY_CONFIG_XDS_AGENT, a proxy trusts authorities as soon as the control plane names them", async () => {
  await using proxy = await TestProxy.start({
    name: "a",
    role: "router",
    authority: mesh,
    environment: { PROXY_CONFIG_XDS_AGENT: "true" },
  });
  const { ads } = proxy;
  const [inPort, outPort] = [await freePort(), await freePort()];
  const backend = await securedBackend(await other.issue({ spiffe: "spiffe://cluster.local/ns/test/sa/server" }));
  const [backendServer = assert.fail("no server was started")] = servers.slice(-1);
  ads.push(typeUrls.cluster, {
    in: outboundCluster("in", "in", ""),
    out: outboundCluster("out", "out", "spiffe://cluster.local/ns/test/sa/server"),
  });
  ads.push(typeUrls.endpoint, {
    in: plainEndpoints("in", [plainBackend]),
    out: meshEndpoint("out", "127.0.0.1", backend),
  });
  ads.push(typeUrls.listener, {
    secured: tlsListener(inPort, downstreamTls(["http/1.1"])),
    plain: httpListener(outPort, "out"),
  });
  ads.push(typeUrls.route, { in: weightedRoute("in", { in: 1 }), out: weightedRoute("out", { out: 1 }) });
  await proxy.ready();
  const client = await other.issue({ spiffe: "spiffe://cluster.local/ns/x/sa/y" });
  const leave = async (): Promise<number> => (await fetchOnce(outPort, "/")).status;
  assert.deepEqual([await enter(inPort, client), await leave()], ["refused", 503]);

  const tell = async (roots: readonly string[], trustDomains?: string): Promise<string | undefined> => {
    const from = ads.acknowledgements.length;
    const fingerprint = new X509Certificate(other.roots).fingerprint256.replaceAll(":", "").toLowerCase();
    const proxyMetadata = trustDomains === undefined ? {} : { [`${trustDomainsPrefix}${fingerprint}`]: trustDomains };
    ads.push(typeUrls.proxyConfig, { "": { caCertificatesPem: [...roots], proxyMetadata } });
    return (await ads.acknowledged(typeUrls.proxyConfig, from)).error;
  };
  assert.match((await tell(["nonsense"])) ?? "", /root 0 of the trust bundle is not a certificate in PEM/);
  assert.equal(await tell([mesh.rootPem, other.roots]), undefined);
  assert.deepEqual([await enter(inPort, client), await leave()], ["200", 200]);
  // A root that signs for a domain that it may not use is refused in both directions, on new connections.
  backendServer.closeAllConnections();
  assert.equal(await tell([mesh.rootPem, other.roots], "foreign.example"), undefined);
  assert.deepEqual([await enter(inPort, client), await leave()], ["refused", 503]);
  assert.equal(await tell([mesh.rootPem, other.roots], "foreign.example,cluster.local"), undefined);
  assert.deepEqual([await enter(inPort, client), await leave()], ["200", 200]);
  assert.equal(await tell([mesh.rootPem]), undefined);
  assert.equal(await enter(inPort, client), "refused");
});

test("a name of another kind than a URI proves nothing if the root may only sign for trust domains", async () => {
  await using proxy = await TestProxy.start({
    name: "d",
    role: "router",
    authority: mesh,
    environment: { PROXY_CONFIG_XDS_AGENT: "true" },
  });
  const { ads } = proxy;
  const port = await freePort();
  // A DestinationRule expects a server with a name of the mesh. The foreign authority signs that name too.
  const issued = await other.issue({ spiffe: "spiffe://foreign.example/ns/x/sa/y", dns: "pay.shop.svc.cluster.local" });
  const backend = await securedBackend(issued);
  const [backendServer = assert.fail("no server was started")] = servers.slice(-1);
  ads.push(typeUrls.cluster, { out: outboundCluster("out", "out", "pay.shop.svc.cluster.local") });
  ads.push(typeUrls.endpoint, { out: meshEndpoint("out", "127.0.0.1", backend) });
  ads.push(typeUrls.listener, { plain: httpListener(port, "out") });
  ads.push(typeUrls.route, { out: weightedRoute("out", { out: 1 }) });
  await proxy.ready();
  const statusWith = async (proxyMetadata: Readonly<Record<string, string>>): Promise<number> => {
    const from = ads.acknowledgements.length;
    ads.push(typeUrls.proxyConfig, { "": { caCertificatesPem: [mesh.rootPem, other.roots], proxyMetadata } });
    await ads.acknowledged(typeUrls.proxyConfig, from);
    backendServer.closeAllConnections();
    return (await fetchOnce(port, "/")).status;
  };
  const fingerprint = new X509Certificate(other.roots).fingerprint256.replaceAll(":", "").toLowerCase();
  assert.equal(await statusWith({}), 200);
  assert.equal(await statusWith({ [`${trustDomainsPrefix}${fingerprint}`]: "foreign.example" }), 503);
});

test("a client with a revoked certificate is refused as soon as SDS delivers the list", async () => {
  await using proxy = await TestProxy.start({ name: "b", role: "router", authority: mesh });
  const { ads } = proxy;
  const [inPort, outPort] = [await freePort(), await freePort()];
  const [alice, bob] = [
    await other.issue({ spiffe: "spiffe://test/ns/a/sa/alice", serialNumber: "0a" }),
    await other.issue({ spiffe: "spiffe://test/ns/a/sa/bob", serialNumber: "0b" }),
  ];
  const backend = await securedBackend(await other.issue({ dns: "out.test", serialNumber: "0c" }));
  const validation = (name: string): Readonly<Record<string, JsonValue>> => ({
    combinedValidationContext: {
      defaultValidationContext: {},
      validationContextSdsSecretConfig: { name, sdsConfig: { ads: {} } },
    },
  });
  const upstreamTls: JsonValue = {
    name: "envoy.transport_sockets.tls",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      sni: "out.test",
      commonTlsContext: validation("kubernetes://out-cacert"),
    },
  };
  const { transportSocketMatches: _matches, ...bare } = outboundCluster("out", "out", "") as Readonly<
    Record<string, JsonValue>
  >;
  const certificate = await other.issue({ dns: "shop.test" });
  ads.push(typeUrls.secret, {
    "kubernetes://shop": certificateSecret("kubernetes://shop", certificate),
    "kubernetes://shop-cacert": rootsSecret("kubernetes://shop-cacert"),
    "kubernetes://out-cacert": rootsSecret("kubernetes://out-cacert"),
  });
  ads.push(typeUrls.cluster, {
    in: outboundCluster("in", "in", ""),
    out: { ...bare, filters: [], transportSocket: upstreamTls },
  });
  ads.push(typeUrls.endpoint, { in: plainEndpoints("in", [plainBackend]), out: plainEndpoints("out", [backend]) });
  const socket = gatewayTls("kubernetes://shop", validation("kubernetes://shop-cacert")) as {
    readonly typedConfig: object;
  };
  ads.push(typeUrls.listener, {
    secured: tlsListener(inPort, { ...socket, typedConfig: { ...socket.typedConfig, requireClientCertificate: true } }),
    plain: httpListener(outPort, "out"),
  });
  ads.push(typeUrls.route, { in: weightedRoute("in", { in: 1 }), out: weightedRoute("out", { out: 1 }) });
  await proxy.ready();
  const all = async (): Promise<readonly (string | number)[]> => [
    await enter(inPort, alice),
    await enter(inPort, bob),
    (await fetchOnce(outPort, "/")).status,
  ];
  await until(async () => (await fetchOnce(outPort, "/")).status === 200);
  assert.deepEqual(await all(), ["200", "200", 200]);

  const tell = async (name: string, lists: string): Promise<string | undefined> => {
    const from = ads.acknowledgements.length;
    ads.push(typeUrls.secret, { [name]: rootsSecret(name, lists) });
    return (await ads.acknowledged(typeUrls.secret, from)).error;
  };
  assert.equal(await tell("kubernetes://shop-cacert", await other.revoke("0a")), undefined);
  assert.deepEqual(await all(), ["refused", "200", 200]);
  assert.equal(await tell("kubernetes://shop-cacert", await other.revoke("0b")), undefined);
  assert.equal(await tell("kubernetes://out-cacert", await other.revoke("0c")), undefined);
  assert.deepEqual([await enter(inPort, alice), await enter(inPort, bob)], ["200", "refused"]);
  // The list does not end existing connections. Removing the cluster closes those of its pool.
  ads.push(typeUrls.cluster, { out: { ...bare, filters: [], connectTimeout: "3s", transportSocket: upstreamTls } });
  await until(async () => (await fetchOnce(outPort, "/")).status === 503);
  assert.match((await tell("kubernetes://shop-cacert", "no list")) ?? "", /no X509 CRL in PEM/);
  assert.deepEqual(
    [await enter(inPort, alice), await enter(inPort, bob)],
    ["200", "refused"],
    "a list that cannot be used changes nothing",
  );
});

test("every authority of a chain needs a revocation list; another authority's list admits nobody", async () => {
  await using proxy = await TestProxy.start({ name: "c", role: "router", authority: mesh });
  const { ads } = proxy;
  const port = await freePort();
  const stranger = await TestAuthority.create();
  ads.push(typeUrls.secret, {
    "kubernetes://shop": certificateSecret("kubernetes://shop", await other.issue({ dns: "shop.test" })),
  });
  ads.push(typeUrls.cluster, { in: outboundCluster("in", "in", "") });
  ads.push(typeUrls.endpoint, { in: plainEndpoints("in", [plainBackend]) });
  const socket = gatewayTls("kubernetes://shop", {
    validationContext: { trustedCa: inline(other.roots), crl: inline(await stranger.revoke()) },
  }) as { readonly typedConfig: object };
  ads.push(typeUrls.listener, {
    secured: tlsListener(port, { ...socket, typedConfig: { ...socket.typedConfig, requireClientCertificate: true } }),
  });
  ads.push(typeUrls.route, { in: weightedRoute("in", { in: 1 }) });
  await proxy.ready();
  assert.equal(await enter(port, await other.issue({ dns: "client.test" })), "refused");
});
