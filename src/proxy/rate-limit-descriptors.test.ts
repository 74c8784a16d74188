import assert from "node:assert/strict";
import { createServer } from "node:http";
import { request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { create, fromBinary, toBinary, type JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort, TestAuthority, type Issued } from "../net/testing/index.ts";
import { RateLimitRequestSchema, RateLimitResponse_Code, RateLimitResponseSchema } from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { edsCluster, plainEndpoints } from "./testing/ads-server.ts";
import { Http2Backend } from "./testing/http2-peers.ts";
import { certificateSecret } from "./testing/secret-provider.ts";
import { connectionManager, gatewayTls, router } from "./testing/mesh-config.ts";
import { TestProxy } from "./testing/test-proxy.ts";

const typedStruct = (typeUrl: string, value: JsonValue): JsonValue => ({
  "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
  typeUrl: `type.googleapis.com/${typeUrl}`,
  value,
});

const all: JsonValue = { default_value: { numerator: 100, denominator: "HUNDRED" } };

/** The filter as an EnvoyFilter adds it to the listener of a sidecar. */
function localRateLimit(identity: string): JsonValue {
  return {
    name: "envoy.filters.http.local_ratelimit",
    typedConfig: typedStruct("envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", {
      stat_prefix: "limiter",
      token_bucket: { max_tokens: 1000, tokens_per_fill: 1000, fill_interval: "1s" },
      filter_enabled: { runtime_key: "enabled", ...(all as object) },
      filter_enforced: { runtime_key: "enforced", ...(all as object) },
      response_headers_to_add: [{ append: false, header: { key: "x-local-rate-limit", value: "true" } }],
      descriptors: [
        {
          entries: [{ key: "client_id", value: identity }],
          token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: "600s" },
        },
      ],
    }),
  };
}

const routes: JsonValue = {
  name: "in",
  virtualHosts: [
    {
      name: "inbound|http|80",
      domains: ["*"],
      routes: [
        {
          match: { prefix: "/" },
          route: {
            cluster: "in",
            rateLimits: [
              {
                actions: [
                  {
                    extension: {
                      name: "custom",
                      typedConfig: typedStruct("envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor", {
                        descriptor_key: "client_id",
                        text: "connection.uri_san_peer_certificate",
                      }),
                    },
                  },
                ],
              },
            ],
          },
        },
      ],
    },
  ],
};

interface Entered {
  readonly status: number | undefined;
  readonly limited: string | string[] | undefined;
}

function enter(port: number, shown: Issued): Promise<Entered> {
  return new Promise((resolve, reject) => {
    const call = httpsRequest(
      {
        host: "127.0.0.1",
        port,
        servername: "srv.test",
        rejectUnauthorized: false,
        agent: false,
        cert: shown.certificateChain,
        key: shown.privateKey,
      },
      (response) => {
        response.resume();
        response.on("end", () =>
          resolve({ status: response.statusCode, limited: response.headers["x-local-rate-limit"] }),
        );
      },
    );
    call.on("error", reject);
    call.end();
  });
}

const [limited, other] = ["clt", "other"].map((account) => `spiffe://cluster.local/ns/echo/sa/${account}`) as [
  string,
  string,
];

class LimitedProxy implements AsyncDisposable {
  readonly proxy: TestProxy;
  readonly #authority: TestAuthority;
  readonly #port: number;

  private constructor(proxy: TestProxy, authority: TestAuthority, port: number) {
    this.proxy = proxy;
    this.#authority = authority;
    this.#port = port;
  }

  static async start(filter: JsonValue, backend: number, service?: number): Promise<LimitedProxy> {
    const authority = await TestAuthority.create();
    const proxy = await TestProxy.start({ name: "srv", role: "router", authority: new FakeCertificateAuthority() });
    const { ads } = proxy;
    const port = await freePort();
    ads.push(typeUrls.secret, { srv: certificateSecret("srv", await authority.issue({ dns: "srv.test" })) });
    ads.push(typeUrls.cluster, {
      in: edsCluster("in", "in"),
      ...(service === undefined
        ? {}
        : { limiter: { ...(edsCluster("limiter", "limiter") as object), http2ProtocolOptions: {} } }),
    });
    ads.push(typeUrls.endpoint, {
      in: plainEndpoints("in", [backend]),
      ...(service === undefined ? {} : { limiter: plainEndpoints("limiter", [service]) }),
    });
    const socket = gatewayTls("srv", {
      validationContext: { trustedCa: { inlineBytes: Buffer.from(authority.roots).toString("base64") } },
    }) as { readonly typedConfig: object };
    ads.push(typeUrls.listener, {
      secured: {
        name: "secured",
        address: { socketAddress: { address: "127.0.0.1", portValue: port } },
        filterChains: [
          {
            transportSocket: { ...socket, typedConfig: { ...socket.typedConfig, requireClientCertificate: true } },
            filters: [
              connectionManager({
                rds: { configSource: { ads: {} }, routeConfigName: "in" },
                httpFilters: [filter, router],
              }),
            ],
          },
        ],
      },
    });
    ads.push(typeUrls.route, { in: routes });
    await proxy.ready();
    return new LimitedProxy(proxy, authority, port);
  }

  async enter(identity: string): Promise<Entered> {
    return await enter(this.#port, await this.#authority.issue({ spiffe: identity }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
  }
}

async function startBackend(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((_request, response) => response.end("in"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("a local rate limit counts each identity of a client that an expression of the route names", async () => {
  await using backend = await startBackend();
  await using proxy = await LimitedProxy.start(localRateLimit(limited), backend.port);
  assert.deepEqual(await proxy.enter(limited), { status: 200, limited: undefined });
  assert.deepEqual(await proxy.enter(limited), { status: 429, limited: "true" });
  assert.deepEqual(await proxy.enter(other), { status: 200, limited: undefined });
  assert.deepEqual(await proxy.enter(other), { status: 200, limited: undefined });
});

async function startService(requests: string[]): Promise<Http2Backend> {
  return await Http2Backend.start((stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => void chunks.push(chunk));
    stream.on("end", () => {
      const { domain, descriptors } = fromBinary(RateLimitRequestSchema, Buffer.concat(chunks).subarray(5));
      const entry = descriptors[0]?.entries[0];
      requests.push(`${headers[":path"] ?? ""} ${domain} ${entry?.key ?? ""}=${entry?.value ?? ""}`);
      const overallCode = entry?.value === limited ? RateLimitResponse_Code.OVER_LIMIT : RateLimitResponse_Code.OK;
      const bytes = toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, { overallCode }));
      const frame = Buffer.concat([Buffer.alloc(5), bytes]);
      frame.writeUInt32BE(bytes.length, 1);
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(frame);
    });
  });
}

test("a rate limit service decides about each client by the same expression", async () => {
  const requests: string[] = [];
  await using backend = await startBackend();
  await using service = await startService(requests);
  const filter: JsonValue = {
    name: "envoy.filters.http.ratelimit",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit",
      domain: "echo",
      failureModeDeny: true,
      timeout: "10s",
      rateLimitService: { grpcService: { envoyGrpc: { clusterName: "limiter" } }, transportApiVersion: "V3" },
      responseHeadersToAdd: [{ header: { key: "x-local-rate-limit", value: "service" } }],
    },
  };
  await using proxy = await LimitedProxy.start(filter, backend.port, service.port);
  assert.deepEqual(await proxy.enter(limited), { status: 429, limited: "service" });
  assert.deepEqual(await proxy.enter(other), { status: 200, limited: undefined });
  const path = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
  assert.deepEqual(requests, [`${path} echo client_id=${limited}`, `${path} echo client_id=${other}`]);
});
