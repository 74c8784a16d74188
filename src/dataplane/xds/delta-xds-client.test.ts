import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { silentLogger, systemClock } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { serviceWithEndedBackend } from "../../net/testing/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryRequest,
} from "../../wire/discovery/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import { DeltaXdsClient } from "./delta-xds-client.ts";
import type { XdsUpdate } from "./xds-types.ts";

type Stream = ServerDuplexStream<Buffer, Buffer>;

class ControlPlane {
  readonly #server = new Server();
  #waiting: ((request: DeltaDiscoveryRequest) => void)[] = [];
  readonly #requests: DeltaDiscoveryRequest[] = [];
  stream: Stream | undefined;
  port = 0;

  async start(port = 0): Promise<void> {
    const identity = (bytes: Buffer) => bytes;
    const definition = {
      path: discoveryMethods.deltaAds,
      requestStream: true,
      responseStream: true,
      requestSerialize: identity,
      requestDeserialize: identity,
      responseSerialize: identity,
      responseDeserialize: identity,
    };
    this.#server.addService({ delta: definition }, { delta: (stream: Stream) => this.#serve(stream) });
    this.port = await new Promise((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
  }

  stop(): void {
    this.#server.forceShutdown();
  }

  async next(): Promise<DeltaDiscoveryRequest> {
    return this.#requests.shift() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }

  send(
    typeUrl: string,
    nonce: string,
    resources: readonly { name: string; version: string }[],
    removed: string[] = [],
  ): void {
    const message = create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce,
      resources: resources.map(({ name, version }) => ({
        name,
        version,
        resource: { typeUrl, value: Buffer.from(`${name}@${version}`) },
      })),
      removedResources: removed,
    });
    this.stream?.write(Buffer.from(toBinary(DeltaDiscoveryResponseSchema, message)));
  }

  #serve(stream: Stream): void {
    this.stream = stream;
    stream.on("data", (bytes: Buffer) => {
      const request = fromBinary(DeltaDiscoveryRequestSchema, bytes);
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#requests.push(request);
      else waiting(request);
    });
    stream.on("error", () => undefined);
    stream.on("end", () => stream.end());
  }
}

test("updates are ACKed or NACKed with the reason, and a reconnect requests only changes", async () => {
  const plane = new ControlPlane();
  await plane.start();
  const updates: XdsUpdate[] = [];
  const client = new DeltaXdsClient({
    endpoint: { url: `http://127.0.0.1:${plane.port}`, headers: { clusterid: "Kubernetes" } },
    node: {
      id: "ztunnel~10.0.0.1~z.istio-system~istio-system.svc.cluster.local",
      metadata: { ISTIO_VERSION: "1.18.1", NOTHING: undefined },
    },
    subscriptions: [
      {
        typeUrl: "type/everything",
        mode: "wildcard",
        apply: (update) => {
          if (update.resources.some(({ name }) => name === "bad")) throw new Error("bad is bad");
          updates.push(update);
        },
      },
      { typeUrl: "type/named", mode: "named", apply: (update) => void updates.push(update) },
    ],
    log: silentLogger,
    clock: systemClock,
    random: () => 0,
  });
  const stop = new AbortController();
  const running = client.run(stop.signal);
  const first = await plane.next();
  assert.deepEqual(
    [first.typeUrl, first.resourceNamesSubscribe, first.node?.metadata],
    ["type/everything", [], { ISTIO_VERSION: "1.18.1" }],
  );
  plane.send("type/everything", "n1", [
    { name: "a", version: "1" },
    { name: "b", version: "1" },
  ]);
  const ack = await plane.next();
  assert.deepEqual([ack.responseNonce, ack.errorDetail, ack.node], ["n1", undefined, undefined]);
  await client.synced;
  assert.equal(Buffer.from(updates[0]?.resources[0]?.body ?? []).toString(), "a@1");

  plane.send("type/everything", "n2", [{ name: "bad", version: "1" }]);
  const nack = await plane.next();
  assert.deepEqual([nack.responseNonce, nack.errorDetail?.message], ["n2", "bad is bad"]);

  client.setNames("type/named", ["x", "y"]);
  assert.deepEqual((await plane.next()).resourceNamesSubscribe, ["x", "y"]);
  client.setNames("type/named", ["y", "z"]);
  const change = await plane.next();
  assert.deepEqual([change.resourceNamesSubscribe, change.resourceNamesUnsubscribe], [["z"], ["x"]]);
  plane.send("type/everything", "n3", [{ name: "a", version: "2" }], ["b"]);
  assert.equal((await plane.next()).responseNonce, "n3");
  assert.equal(client.connected, true);

  plane.stop();
  const again = new ControlPlane();
  await again.start(plane.port);
  const back = await again.next();
  assert.deepEqual(
    [back.typeUrl, back.initialResourceVersions, back.node?.id.split("~")[0]],
    ["type/everything", { a: "2" }, "ztunnel"],
  );
  const named = await again.next();
  assert.deepEqual([named.typeUrl, named.resourceNamesSubscribe], ["type/named", ["y", "z"]]);
  stop.abort();
  await running;
  again.stop();
});

test("an abort while the channel is being opened ends the client", { timeout: 10_000 }, async (t) => {
  const control = new ControlPlane();
  await control.start();
  t.after(() => control.stop());
  const client = new DeltaXdsClient({
    endpoint: { url: `http://127.0.0.1:${control.port}`, headers: {} },
    node: { id: "ztunnel~1.2.3.4~pod.ns~ns.svc.cluster.local", metadata: {} },
    subscriptions: [{ typeUrl: "type/everything", mode: "wildcard", apply: () => undefined }],
    log: silentLogger,
  });
  const stop = new AbortController();
  const running = client.run(stop.signal);
  stop.abort();
  await running;
});

test("a connection attempt is abandoned after 2 s for a new one, each later one after twice the time, up to 10 s", async () => {
  const clock = new HandClock();
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on("error", () => undefined)));
  await once(silent.listen(0, "127.0.0.1"), "listening");
  const warnings: string[] = [];
  const client = new DeltaXdsClient({
    endpoint: { url: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`, headers: {} },
    node: { id: "ztunnel~1.2.3.4~pod.ns~ns.svc.cluster.local", metadata: {} },
    subscriptions: [{ typeUrl: "type/everything", mode: "wildcard", apply: () => undefined }],
    log: { ...silentLogger, warn: (_message, fields) => void warnings.push(String(fields?.error)) },
    clock,
    random: () => 0,
  });
  const stop = new AbortController();
  const running = client.run(stop.signal);
  for (const seconds of [2, 4, 8, 10, 10]) {
    const attempts = warnings.length;
    // There are two timers: for the end of the attempt, and for the next parallel connection.
    await until(() => clock.timers === 2);
    clock.pass(seconds * 1000 - 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(warnings.length, attempts);
    clock.pass(1);
    await until(() => warnings.length > attempts);
    const pattern = new RegExp(`no connection to the control plane http://127\\.0\\.0\\.1:\\d+ within ${seconds} s`);
    assert.match(warnings.at(-1) ?? "", pattern);
  }
  assert.equal(warnings.length, 5);
  stop.abort();
  await running;
  for (const socket of sockets) socket.destroy();
  silent.close();
});

test("a first connection that goes to an istiod that has ended delays the stream by half a second, and not by seconds", async (t) => {
  const plane = new ControlPlane();
  await plane.start();
  const { port, sockets } = await serviceWithEndedBackend(t, plane.port);
  const clock = new HandClock();
  const client = new DeltaXdsClient({
    endpoint: { url: `http://127.0.0.1:${port}`, headers: {} },
    node: { id: "ztunnel~1.2.3.4~pod.ns~ns.svc.cluster.local", metadata: {} },
    subscriptions: [{ typeUrl: "type/everything", mode: "wildcard", apply: () => undefined }],
    log: silentLogger,
    clock,
    random: () => 1,
  });
  const stop = new AbortController();
  const running = client.run(stop.signal);
  t.after(() => {
    stop.abort();
    plane.stop();
  });
  await until(() => sockets.length === 1);
  clock.pass(500);
  await until(() => sockets.length === 2);
  assert.equal((await plane.next()).typeUrl, "type/everything");
  assert.equal(clock.nowMs(), 500);
  stop.abort();
  await running;
});

test("the client is behind while it applies an update, and while another waits", async () => {
  const plane = new ControlPlane();
  await plane.start();
  const takers: (() => void)[] = [];
  const client = new DeltaXdsClient({
    endpoint: { url: `http://127.0.0.1:${plane.port}`, headers: {} },
    node: { id: "ztunnel~10.0.0.1~z.istio-system~istio-system.svc.cluster.local", metadata: {} },
    subscriptions: [
      { typeUrl: "type/a", mode: "wildcard", apply: () => new Promise<void>((resolve) => takers.push(resolve)) },
    ],
    log: silentLogger,
    clock: systemClock,
    random: () => 0,
  });
  const stop = new AbortController();
  const running = client.run(stop.signal);
  const taken = async (count: number): Promise<void> => {
    await until(() => takers.length >= count);
  };
  await plane.next();
  assert.equal(client.behind, false);
  plane.send("type/a", "n1", []);
  await taken(1);
  assert.equal(client.behind, true);
  plane.send("type/a", "n2", []);
  // The stream holds the update without any sign of its arrival, so wait a moment.
  await new Promise((resolve) => setTimeout(resolve, 50));
  takers[0]?.();
  await plane.next();
  assert.equal(client.behind, true, "the second one");
  await taken(2);
  takers[1]?.();
  await plane.next();
  assert.equal(client.behind, false);
  stop.abort();
  await running;
  plane.stop();
});
