import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "../base/index.ts";
import { CertificateManager, FakeCertificateAuthority, relay, serveHbone } from "../dataplane/index.ts";
import { connectTcp, listenTcp, secureServer } from "../net/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, envoyRegistry } from "../wire/envoy/index.ts";
import { compileCluster } from "./config/clusters/cluster-config.ts";
import { ConfigNotes } from "./config/config-check.ts";
import { compileEndpoints } from "./config/clusters/endpoint-config.ts";
import { edsCluster } from "./testing/ads-server.ts";
import { SecretStore } from "./tls/secret-store.ts";
import { TlsContexts } from "./tls/tls-contexts.ts";
import { MeshConnector } from "./upstream/connector.ts";
import { echo } from "../net/testing/index.ts";

const [client, workload, application] = ["client", "workload", "application"].map(
  (name) => `spiffe://cluster.local/ns/default/sa/${name}`,
) as [string, string, string];
const type = (name: string): JsonObject => ({
  "@type": `type.googleapis.com/envoy.extensions.transport_sockets.${name}`,
});

/**
 * A DestinationRule's own TLS, in the form that Istio uses for endpoints that accept HBONE: inside the socket that
 * enters the tunnel.
 */
const tls = {
  name: "envoy.transport_sockets.tls",
  typedConfig: { ...type("tls.v3.UpstreamTlsContext"), sni: "app.example" },
};
const tunnelled = {
  name: "internal_upstream",
  typedConfig: { ...type("internal_upstream.v3.InternalUpstreamTransport"), transportSocket: tls },
};
const cluster = {
  ...(edsCluster("c") as JsonObject),
  transportSocketMatches: [{ name: "hbone", match: { tunnel: "http" }, transportSocket: tunnelled }],
};

test("a DestinationRule's own TLS starts inside the tunnel to a workload that accepts HBONE", async () => {
  const certificates = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
  const server = await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    void secureServer(raw, async () => (await certificates.fetch(application)).context, {
      alpn: [],
      timeoutMs: 5000,
      clientCertificate: "none",
    })
      .then((stream) => {
        echo(stream);
      })
      .catch(() => undefined);
  });
  const authority = `127.0.0.1:${server.address.port}`;
  const ztunnel = await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    void secureServer(raw, async () => (await certificates.fetch(workload)).context, {
      alpn: ["h2"],
      timeoutMs: 5000,
      clientCertificate: "require",
    })
      .then((stream) =>
        serveHbone(stream, {
          onConnect: (request) => {
            void connectTcp({ ...server.address, timeoutMs: 5000 }).then(
              (onwards) => void relay(request.accept(), onwards),
            );
          },
        }),
      )
      .catch(() => undefined);
  });
  const { transports } = compileCluster(
    fromJson(ClusterSchema, cluster, { registry: envoyRegistry() }),
    new ConfigNotes(() => undefined),
  );
  const [endpoint] = compileEndpoints(
    fromJson(ClusterLoadAssignmentSchema, {
      clusterName: "c",
      endpoints: [
        {
          lbEndpoints: [
            {
              endpoint: {
                address: { envoyInternalAddress: { serverListenerName: "connect_originate", endpointId: authority } },
              },
              metadata: {
                filterMetadata: {
                  "envoy.transport_socket_match": { tunnel: "http" },
                  "envoy.filters.listener.original_dst": {
                    local: authority,
                    waypoint: `127.0.0.1:${ztunnel.address.port}`,
                  },
                },
              },
            },
          ],
        },
      ],
    }),
    transports,
    "test",
  );
  assert.ok(endpoint !== undefined);
  const store = new SecretStore({
    certificates,
    identity: client,
    readFile: () => Promise.reject(new Error("no file")),
    clock: systemClock,
    log: silentLogger,
  });
  const connector = new MeshConnector({
    certificates,
    contexts: new TlsContexts(store),
    clock: systemClock,
    identity: client,
    tunnelHeaders: [],
  });
  const stream = await connector.connect(endpoint, 5000);
  const echoed = new Promise<string>((resolve) =>
    stream.setHandler({ data: (chunk) => resolve(chunk.toString()), end() {}, drain() {}, close: () => resolve("") }),
  );
  stream.resume();
  stream.write(Buffer.from("through TLS in a tunnel"));
  assert.equal(await echoed, "through TLS in a tunnel");
  stream.destroy();
  connector.close();
  ztunnel.close();
  server.close();
  certificates.close();
});
