import assert from "node:assert/strict";
import { createServer } from "node:http";
import { request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort, TestAuthority, type Issued } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { edsCluster, plainEndpoints } from "./testing/ads-server.ts";
import { certificateSecret } from "./testing/secret-provider.ts";
import { connectionManager, gatewayTls, router } from "./testing/mesh-config.ts";
import { TestProxy } from "./testing/test-proxy.ts";

const typedStruct = (typeUrl: string, value: JsonValue): JsonValue => ({
  "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
  typeUrl: `type.googleapis.com/${typeUrl}`,
  value,
});

const all: JsonValue = { default_value: { numerator: 100, denominator: "HUNDRED" } };

/** As an EnvoyFilter adds it to the listener of a sidecar. */
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

test("a local rate limit counts each identity of a client that an expression of the route names", async () => {
  const authority = await TestAuthority.create();
  const backend = createServer((_request, response) => response.end("in"));
  await new Promise<void>((resolve) => backend.listen(0, "127.0.0.1", resolve));
  await using _backend = {
    [Symbol.asyncDispose]: async () => {
      backend.closeAllConnections();
      await new Promise((resolve) => backend.close(resolve));
    },
  };
  await using proxy = await TestProxy.start({
    name: "srv",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const { ads } = proxy;
  const port = await freePort();
  const [limited, other] = ["clt", "other"].map((account) => `spiffe://cluster.local/ns/echo/sa/${account}`) as [
    string,
    string,
  ];
  ads.push(typeUrls.secret, { srv: certificateSecret("srv", await authority.issue({ dns: "srv.test" })) });
  ads.push(typeUrls.cluster, { in: edsCluster("in", "in") });
  ads.push(typeUrls.endpoint, { in: plainEndpoints("in", [(backend.address() as AddressInfo).port]) });
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
              httpFilters: [localRateLimit(limited), router],
            }),
          ],
        },
      ],
    },
  });
  ads.push(typeUrls.route, { in: routes });
  await proxy.ready();
  const [first, second] = [await authority.issue({ spiffe: limited }), await authority.issue({ spiffe: other })];
  assert.deepEqual(await enter(port, first), { status: 200, limited: undefined });
  assert.deepEqual(await enter(port, first), { status: 429, limited: "true" });
  assert.deepEqual(await enter(port, second), { status: 200, limited: undefined });
  assert.deepEqual(await enter(port, second), { status: 200, limited: undefined });
});
