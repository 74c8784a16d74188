import assert from "node:assert/strict";
import { Agent, createServer, request as httpsRequest, type RequestOptions } from "node:https";
import { createServer as createHttpServer } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import type { JsonValue } from "@bufbuild/protobuf";
import { systemClock, type Clock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort, TestAuthority, type Issued } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { firstFetchLimitMs } from "./listener-set.ts";
import { plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce } from "./testing/harness.ts";
import { connectionManager, gatewayTls, outboundCluster, router } from "./testing/mesh-config.ts";
import { TestProxy, type TestProxyOptions } from "./testing/test-proxy.ts";

const certificateSecret = (name: string, issued: Issued): JsonValue => ({
  name,
  tlsCertificate: {
    certificateChain: { inlineBytes: Buffer.from(issued.certificateChain).toString("base64") },
    privateKey: { inlineBytes: Buffer.from(issued.privateKey).toString("base64") },
  },
});
const rootsSecret = (name: string, roots: string): JsonValue => ({
  name,
  validationContext: { trustedCa: { inlineBytes: Buffer.from(roots).toString("base64") } },
});

const http = connectionManager({
  rds: { configSource: { ads: {} }, routeConfigName: "routes" },
  httpFilters: [router],
  forwardClientCertDetails: "SANITIZE_SET",
  setCurrentClientCertDetails: { uri: true, dns: true },
});

/**
 * A gateway's HTTPS listener with one certificate for each server name. `admin.test` requires the client's certificate.
 */
function httpsListener(port: number, shopSecret: string): JsonValue {
  return {
    name: "https",
    address: { socketAddress: { address: "127.0.0.1", portValue: port } },
    listenerFilters: [
      {
        name: "envoy.filters.listener.tls_inspector",
        typedConfig: { "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" },
      },
    ],
    filterChains: [
      {
        name: "shop",
        filterChainMatch: { serverNames: ["shop.test", "*.shop.test"] },
        transportSocket: gatewayTls(shopSecret),
        filters: [http],
      },
      {
        name: "admin",
        filterChainMatch: { serverNames: ["admin.test"] },
        transportSocket: gatewayTls("kubernetes://admin", {
          combinedValidationContext: {
            defaultValidationContext: {
              matchTypedSubjectAltNames: [{ sanType: "URI", matcher: { exact: "spiffe://test/ns/a/sa/boss" } }],
            },
            validationContextSdsSecretConfig: { name: "kubernetes://admin-cacert", sdsConfig: { ads: {} } },
          },
        }),
        filters: [http],
      },
    ],
  };
}

interface Answered {
  readonly status: number;
  readonly body: string;
  readonly fingerprint: string;
}

function get(port: number, servername: string, more: RequestOptions = {}): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const call = httpsRequest(
      {
        host: "127.0.0.1",
        port,
        servername,
        rejectUnauthorized: false,
        agent: false,
        headers: { host: servername },
        ...more,
      },
      (response) => {
        const fingerprint = (response.socket as TLSSocket).getPeerCertificate().fingerprint256;
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString(), fingerprint }),
        );
      },
    );
    call.on("error", reject);
    call.end();
  });
}

test("a gateway chooses certificates from secrets by server name, verifies clients, and rotates under open connections", async () => {
  const authority = await TestAuthority.create();
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const backend = createHttpServer((request, response) =>
    response.end(
      `${String(request.headers["x-forwarded-proto"])} ${String(request.headers["x-forwarded-client-cert"])}`,
    ),
  );
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  using opened = new DisposableStack();
  opened.defer(() => {
    backend.closeAllConnections();
    backend.close();
  });
  const { ads } = proxy;
  const port = await freePort();
  ads.push(typeUrls.secret, {
    "kubernetes://shop": certificateSecret("kubernetes://shop", await authority.issue({ dns: "shop.test" })),
    "kubernetes://admin": certificateSecret("kubernetes://admin", await authority.issue({ dns: "admin.test" })),
    "kubernetes://admin-cacert": rootsSecret("kubernetes://admin-cacert", authority.roots),
  });
  ads.push(typeUrls.cluster, { a: outboundCluster("a", "a", "") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [(backend.address() as AddressInfo).port]) });
  ads.push(typeUrls.listener, { https: httpsListener(port, "kubernetes://shop") });
  ads.push(typeUrls.route, { routes: weightedRoute("routes", { a: 1 }) });
  await proxy.ready();

  const first = await get(port, "www.shop.test");
  assert.deepEqual([first.status, first.body], [200, "https undefined"]);
  await assert.rejects(get(port, "other.test"), /ECONNRESET|socket hang up|disconnected/);

  await assert.doesNotReject(get(port, "admin.test"), "without a certificate: it is asked for, not required");
  const boss = await authority.issue({ spiffe: "spiffe://test/ns/a/sa/boss" });
  const welcome = await get(port, "admin.test", { cert: boss.certificateChain, key: boss.privateKey });
  assert.match(welcome.body, /^https Hash=[0-9a-f]{64};URI=spiffe:\/\/test\/ns\/a\/sa\/boss$/);
  const agent = new Agent({ maxCachedSessions: 10 });
  for (let connection = 0; connection < 2; connection += 1) {
    const again = { cert: boss.certificateChain, key: boss.privateKey, agent, headers: { connection: "close" } };
    assert.equal((await get(port, "admin.test", again)).status, welcome.status, "also by who resumes a session");
  }
  const clerk = await authority.issue({ spiffe: "spiffe://test/ns/a/sa/clerk" });
  await assert.rejects(get(port, "admin.test", { cert: clerk.certificateChain, key: clerk.privateKey }), {
    code: "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN",
  });

  const session = connectHttp2(`https://127.0.0.1:${port}`, { servername: "shop.test", rejectUnauthorized: false });
  opened.defer(() => session.destroy());
  const status = async (): Promise<unknown> => {
    const stream = session.request({ ":path": "/", ":authority": "shop.test" });
    stream.end();
    return await new Promise((resolve, reject) => {
      stream.on("response", (headers) => resolve(headers[":status"]));
      stream.on("error", reject);
      stream.resume();
    });
  };
  assert.equal(await status(), 200);
  const from = ads.acknowledgements.length;
  ads.push(typeUrls.secret, {
    "kubernetes://shop": certificateSecret("kubernetes://shop", await authority.issue({ dns: "shop.test" })),
  });
  assert.equal((await ads.acknowledged(typeUrls.secret, from)).error, undefined);
  assert.notEqual((await get(port, "shop.test")).fingerprint, first.fingerprint);
  assert.equal(await status(), 200);
});

async function startWithoutSecret(
  options: Pick<TestProxyOptions, "clock" | "workers"> = {},
): Promise<{ readonly proxy: TestProxy; readonly port: number; readonly sendSecret: () => Promise<void> }> {
  const proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
    ...options,
  });
  const { ads } = proxy;
  const port = await freePort();
  ads.push(typeUrls.cluster, {});
  ads.push(typeUrls.listener, {
    https: {
      ...(httpsListener(port, "kubernetes://late") as object),
      filterChains: [
        { transportSocketConnectTimeout: "5s", transportSocket: gatewayTls("kubernetes://late"), filters: [http] },
      ],
    },
  });
  ads.push(typeUrls.route, { routes: weightedRoute("routes", { a: 1 }) });
  const sendSecret = async (): Promise<void> => {
    const authority = await TestAuthority.create();
    ads.push(typeUrls.secret, {
      "kubernetes://late": certificateSecret("kubernetes://late", await authority.issue({ dns: "shop.test" })),
    });
  };
  return { proxy, port, sendSecret };
}

test("a listener refuses connections until its secret arrives", async () => {
  const { proxy: started, port, sendSecret } = await startWithoutSecret();
  await using proxy = started;
  await until(() => proxy.ads.hasAskedFor(typeUrls.secret));
  await proxy.ads.acknowledged(typeUrls.route, 0);
  await assert.rejects(get(port, "shop.test"), { code: "ECONNREFUSED" });
  await sendSecret();
  await proxy.ready();
  assert.equal((await get(port, "shop.test")).status, 500);
});

test("when a listener already listens without its secret, connections wait for the secret", async () => {
  const clock: Clock = {
    ...systemClock,
    after: (ms, run) => systemClock.after(ms === firstFetchLimitMs ? 0 : ms, run),
  };
  const { proxy: started, port, sendSecret } = await startWithoutSecret({ clock, workers: 1 });
  await using proxy = started;
  await proxy.ready();
  const waiting = get(port, "shop.test");
  await until(() => proxy.ads.hasAskedFor(typeUrls.secret));
  await sendSecret();
  assert.equal((await waiting).status, 500);
});

test("TLS to a service sends and verifies its name and offers HTTP/1.1, with roots from a file's contents", async () => {
  const authority = await TestAuthority.create();
  const issued = await authority.issue({ dns: "backend.test" });
  const names: (string | false | null)[] = [];
  const serverOptions = { cert: issued.certificateChain, key: issued.privateKey, ALPNProtocols: ["http/1.1"] };
  const backend = createServer(serverOptions, (request, response) => {
    const { servername, alpnProtocol } = request.socket as TLSSocket & { servername?: string | false };
    names.push(servername ?? null, alpnProtocol);
    response.end("secured");
  });
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const { ads } = proxy;
  const [port, other] = [await freePort(), await freePort()];
  const simple = (name: string, expected: string): JsonValue => ({
    name,
    type: "EDS",
    edsClusterConfig: { edsConfig: { ads: {} }, serviceName: "a" },
    connectTimeout: "2s",
    transportSocket: {
      name: "tls",
      typedConfig: {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni: "backend.test",
        commonTlsContext: {
          validationContext: {
            trustedCa: { inlineString: authority.roots },
            matchTypedSubjectAltNames: [{ sanType: "DNS", matcher: { exact: expected } }],
          },
        },
      },
    },
  });
  const listener = (name: string, listenPort: number): JsonValue => ({
    name,
    address: { socketAddress: { address: "127.0.0.1", portValue: listenPort } },
    filterChains: [
      {
        filters: [
          connectionManager({ rds: { configSource: { ads: {} }, routeConfigName: name }, httpFilters: [router] }),
        ],
      },
    ],
  });
  ads.push(typeUrls.cluster, { right: simple("right", "backend.test"), wrong: simple("wrong", "other.test") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [(backend.address() as AddressInfo).port]) });
  ads.push(typeUrls.listener, { right: listener("right", port), wrong: listener("wrong", other) });
  ads.push(typeUrls.route, {
    right: weightedRoute("right", { right: 1 }),
    wrong: weightedRoute("wrong", { wrong: 1 }),
  });
  await proxy.ready();
  const answer = async (at: number): Promise<{ status: number; body: string }> => {
    const response = await fetch(`http://127.0.0.1:${at}/`);
    return { status: response.status, body: await response.text() };
  };
  assert.deepEqual(await answer(port), { status: 200, body: "secured" });
  assert.deepEqual(names, ["backend.test", "http/1.1"]);
  const refused = await answer(other);
  assert.equal(refused.status, 503);
  assert.match(refused.body, /the peer is backend\.test, expected other\.test/);
  backend.closeAllConnections();
  backend.close();
});

/**
 * Starts a gateway whose HTTPS listener has these TLS parameters. `isRefused` says whether a client with the given
 * options fails to connect.
 */
async function startWithParameters(tlsParams: JsonValue, environment: Readonly<Record<string, string>> = {}) {
  const proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
    environment,
  });
  const { ads } = proxy;
  const port = await freePort();
  const issued = await (await TestAuthority.create()).issue({ dns: "shop.test" });
  ads.push(typeUrls.secret, { "kubernetes://shop": certificateSecret("kubernetes://shop", issued) });
  ads.push(typeUrls.cluster, {});
  ads.push(typeUrls.listener, {
    https: {
      ...(httpsListener(port, "kubernetes://shop") as object),
      filterChains: [{ transportSocket: gatewayTls("kubernetes://shop", { tlsParams }), filters: [http] }],
    },
  });
  ads.push(typeUrls.route, { routes: weightedRoute("routes", { a: 1 }) });
  await proxy.ready();
  const isRefused = async (more: RequestOptions): Promise<boolean> =>
    await get(port, "shop.test", { minVersion: "TLSv1.3", ...more }).then(
      () => false,
      () => true,
    );
  return { isRefused, [Symbol.asyncDispose]: async () => await proxy[Symbol.asyncDispose]() };
}

const chacha = { ciphers: "TLS_CHACHA20_POLY1305_SHA256" };

test("a gateway under pqc refuses clients without X25519MLKEM768, and with COMPLIANCE_POLICY also those without AES-GCM", async () => {
  const parameters = {
    tlsMinimumProtocolVersion: "TLSv1_3",
    cipherSuites: ["ECDHE-ECDSA-AES128-GCM-SHA256"],
    ecdhCurves: ["X25519MLKEM768"],
  };
  await using compliant = await startWithParameters(parameters, { COMPLIANCE_POLICY: "pqc" });
  assert.equal(await compliant.isRefused({}), false);
  assert.equal(await compliant.isRefused({ ecdhCurve: "X25519MLKEM768" }), false);
  assert.equal(await compliant.isRefused({ ecdhCurve: "P-256" }), true);
  assert.equal(await compliant.isRefused(chacha), true);
  await using untold = await startWithParameters(parameters);
  assert.equal(await untold.isRefused({ ecdhCurve: "P-256" }), true);
  assert.equal(await untold.isRefused(chacha), false, "Envoy's configuration has no names for ciphers of TLS 1.3");
});

test("the policy FIPS_202205 allows only P-256 and P-384 with AES-GCM, whatever else is configured", async () => {
  await using gateway = await startWithParameters({
    ecdhCurves: ["X25519"],
    cipherSuites: ["ECDHE-ECDSA-CHACHA20-POLY1305"],
    compliancePolicies: ["FIPS_202205"],
  });
  assert.equal(await gateway.isRefused({ ecdhCurve: "P-384" }), false);
  assert.equal(await gateway.isRefused({ ecdhCurve: "X25519" }), true);
  assert.equal(await gateway.isRefused(chacha), true);
  const older = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
  assert.equal(await gateway.isRefused({ ...older, ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305" }), true);
  assert.equal(await gateway.isRefused(older), false);
});

test("a gateway forgets the secrets of removed listeners", async () => {
  const { proxy: started, sendSecret } = await startWithoutSecret();
  await using proxy = started;
  const secrets = async (): Promise<readonly string[]> => {
    const { configs } = JSON.parse((await fetchOnce(proxy.ports.admin, "/config_dump")).body) as {
      readonly configs: readonly { readonly dynamic_active_secrets?: readonly { readonly name: string }[] }[];
    };
    return configs.flatMap(({ dynamic_active_secrets: found = [] }) => found.map(({ name }) => name));
  };
  await until(() => proxy.ads.hasAskedFor(typeUrls.secret));
  await sendSecret();
  await until(async () => (await secrets()).includes("kubernetes://late"));
  proxy.ads.push(typeUrls.listener, {}, ["https"]);
  await until(async () => !(await secrets()).includes("kubernetes://late"));
});
