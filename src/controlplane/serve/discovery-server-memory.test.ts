import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { create, fromBinary, toBinary, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "../../base/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
} from "../../wire/discovery/index.ts";
import { ClusterSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { encodeResource, sameResource, type EncodedResource } from "../translate/resource.ts";
import { createDiscoveryMetrics } from "./discovery-metrics.ts";
import type { DiscoveryClient } from "./connected-client.ts";
import { DiscoveryServer } from "./discovery-server.ts";
import { CollectionView } from "./resource-views/resource-view.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const node = { id: "sidecar~10.0.0.1~a-1.shop~shop.svc.cluster.local" };

function start(maxKeptBytes?: number, probed?: (message: string) => void) {
  const graph = new CollectionGraph();
  const resources = graph.source<EncodedResource>("resources", sameResource);
  const view = new CollectionView([resources]);
  const server = new DiscoveryServer({
    viewOf: () => view,
    generation: () => 1,
    metrics: createDiscoveryMetrics(new MetricsRegistry()),
    ...(maxKeptBytes === undefined ? {} : { maxKeptBytes }),
    workloads: {
      connected: () => undefined,
      disconnected: () => undefined,
      probed: (_proxy, { message }) => probed?.(message),
    },
    clock: systemClock,
    log: silentLogger,
  });
  const add = (names: readonly string[]): void =>
    graph.batch(() => {
      for (const name of names)
        resources.set(name, encodeResource(ClusterSchema, name, create(ClusterSchema, { name })));
    });
  return { server, add };
}

function bytesLeftBy(run: () => void): number {
  collect();
  const before = process.memoryUsage().heapUsed;
  run();
  collect();
  return process.memoryUsage().heapUsed - before;
}

function encode(request: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): Uint8Array {
  return toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, { typeUrl: typeUrls.cluster, ...request }),
  );
}

function describe(server: DiscoveryServer, { id = node.id, metadata }: { id?: string; metadata: JsonObject }) {
  const client = server.connect("delta", { peer: "10.0.0.1", write: () => true }, () => false);
  client.receive(encode({ node: { id, metadata } }));
  return client;
}

/** A client at an address, which sends labels and subscribes to names of resources that do not exist. */
function strayClient(server: DiscoveryServer, peer: string) {
  const client = server.connect("delta", { peer, write: () => true }, () => false);
  const subscribe = (resourceNamesSubscribe: string[], labels: Record<string, string> = {}): void =>
    client.receive(
      encode({
        node: { ...node, metadata: { LABELS: labels } },
        typeUrl: typeUrls.endpoint,
        resourceNamesSubscribe,
      }),
    );
  return { subscribe, close: () => client.close() };
}

const stray = (count: number): string[] => Array.from({ length: count }, (_, index) => `none-${index}`);

test("an address whose clients name what does not exist is refused beyond its share, and others are served", () => {
  const { server, add } = start(4 << 20);
  add(stray(100));
  // The names of existing resources are shared, so they take no memory for the client.
  const honest = strayClient(server, "10.0.0.9");
  honest.subscribe(stray(100));
  const clients = [1, 2].map(() => strayClient(server, "10.0.0.1"));
  clients[0]?.subscribe(stray(9000));
  assert.throws(() => clients[1]?.subscribe(stray(9000)), { code: "busy", message: /10\.0\.0\.1 .* share of 4 MiB/ });
  strayClient(server, "10.0.0.2").subscribe(stray(1000));
  for (const client of clients) client.close();
  strayClient(server, "10.0.0.1").subscribe(stray(9000));
});

test("a client that keeps no more than before is served, although others have taken memory since", () => {
  const { server } = start(4 << 20);
  const [first, other] = [strayClient(server, "10.0.0.1"), strayClient(server, "10.0.0.2")];
  first.subscribe(stray(9000));
  other.subscribe(stray(4500));
  first.subscribe(stray(1));
  assert.throws(() => first.subscribe(["one-more"]), { code: "busy" });
});

test("names that a client gives up, and clients that leave, free their share", () => {
  const { server } = start(4 << 20);
  for (let round = 0; round < 20; round += 1) {
    const client = strayClient(server, "10.0.0.1");
    client.subscribe(stray(9000), { app: "x".repeat(50_000) });
    client.close();
  }
  const whole = server.connect("state-of-the-world", { peer: "10.0.0.1", write: () => true }, () => false);
  for (let round = 0; round < 20; round += 1)
    whole.receive(
      toBinary(
        DiscoveryRequestSchema,
        create(DiscoveryRequestSchema, {
          node,
          typeUrl: typeUrls.endpoint,
          resourceNames: Array.from({ length: 5000 }, (_, index) => `none-${round}-${index}`),
        }),
      ),
    );
  whole.close();
});

test("an address whose clients describe themselves at length is refused beyond its share", () => {
  const { server } = start(1 << 20);
  const connectAll = (): void => {
    for (let count = 0; count < 10; count += 1)
      strayClient(server, "10.0.0.1").subscribe([], { app: "x".repeat(100_000) });
  };
  assert.throws(connectAll, { code: "busy" });
});

test("many short labels, or many networks, count with the memory that they take", () => {
  const labels = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [index.toString(36), ""]));
  const networks = Array.from({ length: 1000 }, (_, index) => index.toString(36)).join(",");
  for (const [metadata, fit] of [
    [{ LABELS: labels }, 3],
    [{ REQUESTED_NETWORK_VIEW: networks }, 40],
  ] as const) {
    const { server } = start(4 << 20);
    for (let count = 0; count < fit; count += 1) describe(server, { metadata });
    assert.throws(() => describe(server, { metadata }), { code: "busy" });
  }
});

test("thousands of proxies that describe themselves at length and leave take little memory", () => {
  const { server } = start();
  const come = (name: string): void =>
    describe(server, {
      id: `sidecar~10.0.0.1~${name}.shop~shop.svc.cluster.local~`.padEnd(2048, "x"),
      metadata: {
        REQUESTED_NETWORK_VIEW: Array.from({ length: 1000 }, (_, index) => `a-long-name-of-network-${index}`).join(),
        LABELS: { app: "x".repeat(50_000) },
      },
    }).close();
  come("first");
  const bytes = bytesLeftBy(() => {
    for (let round = 0; round < 500; round += 1) come(`a-${round}`);
  });
  assert.equal(server.recentlyGone().length, 501);
  assert.ok(bytes < 1 << 20, `${bytes} bytes`);
});

test("the reason of a NACK is kept without the rest of a long one", () => {
  const { server, add } = start();
  add(["a"]);
  const reject = (): void => {
    const nonces: string[] = [];
    const client = server.connect(
      "delta",
      {
        write: (parts) => {
          nonces.push(fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts)).nonce);
          return true;
        },
      },
      () => false,
    );
    client.receive(encode({ node }));
    client.receive(encode({ responseNonce: nonces[0] ?? "", errorDetail: { message: "x".repeat(1_000_000) } }));
  };
  reject();
  const bytes = bytesLeftBy(() => {
    for (let round = 0; round < 20; round += 1) reject();
  });
  for (const { subscriptions } of server.streams) {
    const reason = subscriptions.get(typeUrls.cluster)?.rejection?.reason ?? "";
    assert.ok(reason.startsWith("xxx") && reason.length < 5000, `${reason.length} characters`);
  }
  assert.ok(bytes < 2 << 20, `${bytes} bytes`);
});

const claims = (count: number): Record<string, string> => Object.fromEntries(stray(count).map((name) => [name, "1"]));

test("versions of clusters that do not exist, or that the client does not request, are not kept", () => {
  const { server, add } = start();
  add(["a"]);
  const connect = (): DiscoveryClient => server.connect("delta", { write: () => true }, () => false);
  const claim = (resourceNamesSubscribe: string[]): void =>
    connect().receive(encode({ node, resourceNamesSubscribe, initialResourceVersions: claims(20_000) }));
  const lengthyVersion = (): void =>
    connect().receive(encode({ node, initialResourceVersions: { a: "x".repeat(1_000_000) } }));
  claim(["a"]);
  lengthyVersion();
  const bytes = bytesLeftBy(() => {
    for (let count = 0; count < 5; count += 1) {
      claim(["a"]);
      claim([]);
      lengthyVersion();
    }
  });
  assert.ok(bytes < 1 << 20, `${bytes} bytes`);
});

test("names that a client claims to have count like other names of what does not exist, until they are answered", () => {
  const { server } = start(4 << 20);
  const claim = (count: number): void =>
    server
      .connect("delta", { peer: "10.0.0.1", write: () => true }, () => false)
      .receive(encode({ node, initialResourceVersions: claims(count) }));
  for (let round = 0; round < 5; round += 1) claim(9000);
  assert.throws(() => claim(10_000), { code: "busy" });
});

test("an answer that a client does not read counts until it has read it, whatever it requests meanwhile", () => {
  const { server } = start(4 << 20);
  const names = Array.from({ length: 8 }, (_, index) => `none-${index}`.padEnd(100_000, "x"));
  const clients = Array.from({ length: 3 }, () => {
    let isUnread = true;
    const client = server.connect("delta", { peer: "10.0.0.1", write: () => !isUnread }, () => false);
    const ask = (): void => {
      client.receive(encode({ node, typeUrl: typeUrls.endpoint, resourceNamesSubscribe: names }));
      client.receive(encode({ typeUrl: typeUrls.endpoint, resourceNamesUnsubscribe: names }));
    };
    const read = (): void => {
      isUnread = false;
      client.drained();
    };
    return { ask, read, close: () => client.close() };
  });
  const [first, second, third] = clients;
  first?.ask();
  assert.throws(() => second?.ask(), { code: "busy" });
  second?.close();
  first?.read();
  third?.ask();
});

test("the message of an application that is not healthy is passed on without the rest of a long one", () => {
  const messages: string[] = [];
  const { server } = start(undefined, (message) => messages.push(message));
  const client = server.connect("delta", { write: () => true }, () => false);
  const health = { node, typeUrl: typeUrls.healthInformation, errorDetail: { message: "x".repeat(1_000_000) } };
  client.receive(encode(health));
  assert.deepEqual(
    messages.map((message) => message.length),
    [4097],
  );
});
