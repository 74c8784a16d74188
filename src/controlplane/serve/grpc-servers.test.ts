import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { silentLogger, systemClock } from "../../base/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { discoveryMethods, typeUrls } from "../../wire/xds/index.ts";
import { resourceOf, sameResource, type EncodedResource } from "../translate/resource.ts";
import { createDiscoveryMetrics } from "./discovery-metrics.ts";
import type { DiscoveryClient } from "./connected-client.ts";
import { DiscoveryServer } from "./discovery-server.ts";
import { createPlaintextServer, createSecureServer, type GrpcServersOptions } from "./grpc-servers.ts";
import { CollectionView, emptyView } from "./resource-views/resource-view.ts";
import { DiscoveryTestClient } from "./testing/discovery-client.ts";

test("a connection announces its limit of 100 concurrent streams", async () => {
  const server = createPlaintextServer({ discovery: {} as DiscoveryServer, clock: systemClock, log: silentLogger });
  const port = await server.listen("127.0.0.1", 0);
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    await once(session, "remoteSettings");
    assert.equal(session.remoteSettings.maxConcurrentStreams, 100);
  } finally {
    session.destroy();
    await server.stop(0);
  }
});

test("a server that stops ends discovery streams at once, because they would not end themselves", async () => {
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const client: DiscoveryClient = { receive: () => opened.resolve(), drained() {}, close: () => closed.resolve() };
  const discovery = { connect: () => client } as unknown as DiscoveryServer;
  const server = createPlaintextServer({ discovery, clock: systemClock, log: silentLogger });
  const port = await server.listen("127.0.0.1", 0);
  const proxy = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const bytes = (value: Buffer): Buffer => value;
  const stream = proxy.makeBidiStreamRequest(discoveryMethods.deltaAds, bytes, bytes);
  const ended = new Promise<grpc.StatusObject>((resolve) => stream.on("status", resolve));
  stream.on("error", () => undefined).resume();
  stream.write(Buffer.from("a request"));
  await opened.promise;
  await server.stop(60_000);
  assert.equal((await ended).code, grpc.status.OK);
  await closed.promise;
  proxy.close();
});

/** The servers of a mesh of 60,000 addresses, and the versions that a ztunnel with all of them has. */
function largeMesh() {
  const graph = new CollectionGraph();
  const addresses = graph.source<EncodedResource>("addresses", sameResource);
  const known: Record<string, string> = {};
  graph.batch(() => {
    for (let index = 0; index < 60_000; index += 1) {
      const name = `Kubernetes//Pod/team-${index % 100}/checkout-web-7d4b9c8f5-${String(index).padStart(5, "0")}`;
      known[name] = String(index).padStart(22, "0");
      addresses.set(name, resourceOf(typeUrls.address, name, known[name], []));
    }
  });
  const view = new CollectionView([addresses]);
  const [clock, log] = [systemClock, silentLogger];
  const discovery = new DiscoveryServer({
    viewOf: (_proxy, typeUrl) => (typeUrl === typeUrls.address ? view : emptyView),
    generation: () => 1,
    metrics: createDiscoveryMetrics(new MetricsRegistry()),
    clock,
    log,
  });
  const caller = { namespace: "istio-system", serviceAccount: "ztunnel", pod: "", podUid: "", clusterId: "" };
  const authenticator = { authenticate: async () => caller } as never;
  const options = (maxRequestBytes?: number) =>
    ({ discovery, authenticator, maxRequestBytes, clock, log }) as unknown as GrpcServersOptions;
  return {
    known,
    secure: (maxRequestBytes?: number) => createSecureServer(options(maxRequestBytes)),
    plaintext: (maxRequestBytes?: number) => createPlaintextServer(options(maxRequestBytes)),
  };
}

/** The first answer to a ztunnel that connects again with all that it has. */
async function reconnect(server: ReturnType<typeof createPlaintextServer>, known: Record<string, string>) {
  const port = await server.listen("127.0.0.1", 0);
  const ztunnel = new DiscoveryTestClient("delta", `127.0.0.1:${port}`, "ztunnel~10.0.0.1~z.istio-system~x");
  try {
    ztunnel.send({ typeUrl: typeUrls.address, initialResourceVersions: known });
    return await ztunnel.next();
  } finally {
    ztunnel.close();
    server.close();
  }
}

test("a ztunnel that has 60,000 addresses connects again, and gets only what has changed", async () => {
  const { known, secure } = largeMesh();
  const bytes = Object.entries(known).reduce((sum, [name, version]) => sum + name.length + version.length, 0);
  assert.ok(bytes > 4 << 20, `the versions have ${bytes} bytes`);
  const [first = ""] = Object.keys(known);
  known[first] = "old";
  const { resources, removedResources } = await reconnect(secure(), known);
  assert.deepEqual([resources.map(({ name }) => name), removedResources], [[first], []]);
});

test("ISTIO_GPRC_MAXRECVMSGSIZE bounds the requests of both ports, and callers without credentials get 4 MiB", async () => {
  const { known, plaintext, secure } = largeMesh();
  await assert.rejects(reconnect(plaintext(), known), /may have at most 4194304 bytes/);
  await assert.rejects(reconnect(secure(1000), known), /may have at most 1000 bytes/);
  assert.deepEqual((await reconnect(plaintext(8 << 20), known)).resources, []);
});
