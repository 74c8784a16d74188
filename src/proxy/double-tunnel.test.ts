import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "../base/index.ts";
import {
  CertificateManager,
  FakeCertificateAuthority,
  relay,
  serveHbone,
  type HboneRequest,
} from "../dataplane/index.ts";
import { connectTcp, listenTcp, secureServer } from "../net/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, envoyRegistry, ListenerSchema } from "../wire/envoy/index.ts";
import { compileCluster } from "./config/clusters/cluster-config.ts";
import { ConfigNotes } from "./config/config-check.ts";
import { compileEndpoints } from "./config/clusters/endpoint-config.ts";
import { compileListener } from "./config/listeners/listener-config.ts";
import { edsCluster } from "./testing/ads-server.ts";
import { SecretStore } from "./tls/secret-store.ts";
import { TlsContexts } from "./tls/tls-contexts.ts";
import { MeshConnector } from "./upstream/connector.ts";
import { echo } from "../net/testing/index.ts";

const [waypoint, gateway, server] = ["waypoint", "gateway", "server"].map(
  (name) => `spiffe://cluster.local/ns/default/sa/${name}`,
) as [string, string, string];
const authority = "web.shop.svc.cluster.local:80";
const { transports } = compileCluster(
  fromJson(ClusterSchema, edsCluster("c"), { registry: envoyRegistry() }),
  new ConfigNotes(() => undefined),
);

const endpoints = (metadata: JsonObject) =>
  compileEndpoints(
    fromJson(ClusterLoadAssignmentSchema, {
      clusterName: "c",
      endpoints: [
        {
          lbEndpoints: [
            {
              endpoint: {
                address: { envoyInternalAddress: { serverListenerName: "inner_connect_originate", endpointId: "x" } },
              },
              metadata: { filterMetadata: { "envoy.transport_socket_match": { tunnel: "http" }, ...metadata } },
            },
          ],
        },
      ],
    }),
    transports,
    "test",
  );

test("an endpoint in another network is reached by a tunnel inside the tunnel to its gateway", async () => {
  const certificates = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
  const requests: string[] = [];
  const hbone = async (identity: string, onConnect: (request: HboneRequest) => void) =>
    await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
      void secureServer(raw, async () => (await certificates.fetch(identity)).context, {
        alpn: ["h2"],
        timeoutMs: 5000,
        clientCertificate: "require",
      })
        .then((stream) => serveHbone(stream, { onConnect }))
        .catch(() => undefined);
    });
  const inner = await hbone(server, (request) => {
    requests.push(`server ${request.authority} ${request.peerIdentity}`);
    const stream = request.accept();
    echo(stream);
  });
  const outer = await hbone(gateway, (request) => {
    requests.push(`gateway ${request.authority} ${request.peerIdentity}`);
    void connectTcp({ ...inner.address, timeoutMs: 5000 }).then((onwards) => void relay(request.accept(), onwards));
  });
  const contexts = new TlsContexts(
    new SecretStore({
      certificates,
      identity: waypoint,
      readFile: () => Promise.reject(new Error("no file")),
      clock: systemClock,
      log: silentLogger,
    }),
  );
  const connector = new MeshConnector({
    certificates,
    contexts,
    clock: systemClock,
    identity: waypoint,
    tunnelHeaders: [],
  });
  const [endpoint] = endpoints({
    "envoy.filters.listener.original_dst": { local: `127.0.0.1:${outer.address.port}` },
    istio: { double_hbone: { hbone_target_address: authority } },
  });
  assert.ok(endpoint !== undefined);
  const stream = await connector.connect(endpoint, 5000);
  assert.equal(stream.peerIdentity, server);
  assert.equal(stream.retiring, false, "requests may be sent over it, one after the other");
  const echoed = new Promise<string>((resolve) =>
    stream.setHandler({ data: (chunk) => resolve(chunk.toString()), end() {}, drain() {}, close() {} }),
  );
  stream.resume();
  stream.write(Buffer.from("through two tunnels"));
  assert.equal(await echoed, "through two tunnels");
  assert.deepEqual(requests, [`gateway ${authority} ${waypoint}`, `server ${authority} ${waypoint}`]);
  stream.destroy();
  connector.close();
  outer.close();
  inner.close();
  certificates.close();
});

test("an endpoint without its gateway's address or the authority to request there is refused", () => {
  assert.throws(
    () => endpoints({ istio: { double_hbone: { hbone_target_address: authority } } }),
    /is not an address and port of a gateway/,
  );
  assert.throws(
    () => endpoints({ "envoy.filters.listener.original_dst": { local: "1.2.3.4:15008" } }),
    /hbone_target_address is missing/,
  );
});

test("the golden double-tunnel configuration of a waypoint compiles without notes", () => {
  const golden = JSON.parse(
    readFileSync(new URL("../controlplane/translate/golden/networks/waypoint.json", import.meta.url), "utf8"),
  ) as Record<"listeners" | "clusters" | "endpoints", Record<string, JsonObject>>;
  const notes: string[] = [];
  const configNotes = new ConfigNotes((note) => notes.push(note));
  for (const listener of Object.values(golden.listeners))
    compileListener(fromJson(ListenerSchema, listener, { registry: envoyRegistry() }), configNotes);
  for (const cluster of Object.values(golden.clusters))
    compileCluster(fromJson(ClusterSchema, cluster, { registry: envoyRegistry() }), configNotes);
  assert.deepEqual(notes, []);
  const [assignment = {}] = Object.values(golden.endpoints);
  const found = compileEndpoints(fromJson(ClusterLoadAssignmentSchema, assignment), transports, "test").map(
    ({ transport }) =>
      transport.kind === "hbone" && [transport.authority, `${transport.address}:${transport.port}`, transport.within],
  );
  assert.deepEqual(found, [
    ["10.1.0.1:8080", "10.1.0.1:15008", undefined],
    [authority, "192.0.2.3:15008", true],
  ]);
});
