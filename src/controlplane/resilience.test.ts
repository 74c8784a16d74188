import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../api/index.ts";
import { gatewayKind, httpRouteKind } from "../api/gateway/index.ts";
import { destinationRuleKind } from "../api/istio/index.ts";
import { deploymentKind, leaseKind, namespaceKind, podKind, serviceKind } from "../api/kubernetes/index.ts";
import { ShutdownController, silentLogger, systemClock, transientError, userError, type Clock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import type { ApplyOptions, KubeClient, ListResult, WatchEvent, WatchOptions, WriteOptions } from "../kube/index.ts";
import { MetricsRegistry } from "../telemetry/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { ControlPlane } from "./control-plane.ts";
import { readControlPlaneSettings } from "../api/pilot-settings/index.ts";
import { DiscoveryTestClient } from "./serve/testing/discovery-client.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { config, namespace, pod, service } from "./testing/model-fixture.ts";
import { discoveryArguments, freeOwnPorts } from "./testing/own-ports.ts";

// Only this process uses the address, so a port that was free a moment ago is still free.
const address = `127.90.${(process.pid >> 8) & 255}.${process.pid & 255}`;
const statusManager = "istio.io/gateway-controller";

/** One process's connection to the API server. The test can cut it, and it counts the requests. */
class Connection implements KubeClient {
  readonly #server: FakeKubeClient;
  #cut = new AbortController();
  #isAway = false;
  /** A promise for each kind whose list is delayed. The list is answered when the promise resolves. */
  readonly held = new Map<string, Promise<void>>();
  /** The next watch of each kind in this set is refused as too old. */
  readonly tooOld = new Set<string>();
  lists = 0;
  watches = 0;
  readonly statusWrites: string[] = [];

  constructor(server: FakeKubeClient) {
    this.#server = server;
  }

  goAway(): void {
    this.#isAway = true;
    this.#cut.abort();
  }

  comeBack(): void {
    this.#cut = new AbortController();
    this.#isAway = false;
  }

  #reach(): FakeKubeClient {
    if (this.#isAway) throw transientError("unreachable", "connection refused");
    return this.#server;
  }

  async get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    place?: string,
  ): Promise<Value | undefined> {
    return await this.#reach().get(kind, name, place);
  }

  async list<Value extends KubernetesObject>(kind: KindDefinition<Value>): Promise<ListResult<Value>> {
    this.lists += 1;
    await this.held.get(kind.kind);
    return await this.#reach().list(kind);
  }

  async create<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    return await this.#reach().create(kind, object);
  }

  async update<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    return await this.#reach().update(kind, object);
  }

  async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    place: string | undefined,
    patch: unknown,
    options?: WriteOptions,
  ): Promise<Value> {
    const server = this.#reach();
    if (options?.fieldManager === statusManager) this.statusWrites.push(`${kind.kind} ${name}`);
    return await server.patchMerge(kind, name, place, patch, options);
  }

  async apply<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options: ApplyOptions,
  ): Promise<Value> {
    const server = this.#reach();
    if (kind.kind === "Deployment") this.statusWrites.push(`${kind.kind} ${object.metadata.name ?? ""}`);
    return await server.apply(kind, object, options);
  }

  async delete(kind: KindDefinition, name: string, place?: string): Promise<void> {
    await this.#reach().delete(kind, name, place);
  }

  async *watch<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    const server = this.#reach();
    this.watches += 1;
    if (this.tooOld.delete(kind.plural)) throw userError("gone", "too old resource version");
    yield* server.watch<Value>(kind, {
      ...options,
      signal: AbortSignal.any([this.#cut.signal, ...(options.signal === undefined ? [] : [options.signal])]),
    });
  }

  async raw(...args: Parameters<KubeClient["raw"]>): ReturnType<KubeClient["raw"]> {
    return await this.#reach().raw(...args);
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

interface Replica {
  readonly connection: Connection;
  readonly ports: Readonly<Record<"http" | "grpc" | "webhooks", number>>;
  readonly ready: () => Promise<number | undefined>;
  readonly stop: () => Promise<void>;
}

const replicas: Replica[] = [];
after(async () => {
  await Promise.all(replicas.map(async (replica) => await replica.stop()));
});

async function startReplica(
  server: FakeKubeClient,
  podName: string,
  prepare: (connection: Connection) => void = () => undefined,
  clock: Clock = systemClock,
): Promise<Replica> {
  const ports = await freeOwnPorts(address);
  const settings = readControlPlaneSettings(discoveryArguments(address, ports), { POD_NAME: podName }, "1.0.0");
  const connection = new Connection(server);
  prepare(connection);
  const shutdown = new ShutdownController();
  const done = new ControlPlane({
    client: connection,
    settings,
    version: "1.0.0",
    metrics: new MetricsRegistry(),
    clock,
    log: silentLogger,
  }).run(shutdown);
  const replica: Replica = {
    connection,
    ports,
    ready: async () => (await fetch(`http://${address}:${ports.http}/ready`).catch(() => undefined))?.status,
    stop: async () => {
      shutdown.request("the test is over");
      shutdown.request("the test is over");
      await done;
    },
  };
  replicas.push(replica);
  return replica;
}

function newServer(): FakeKubeClient {
  const server = new FakeKubeClient();
  for (const name of ["istio-system", "shop"]) server.put(namespaceKind, namespace(name));
  server.put(
    serviceKind,
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
  );
  server.put(podKind, pod("shop/client-1", "10.244.1.8", { labels: { app: "client" }, redirected: false }));
  return server;
}

const sidecar = "sidecar~10.244.1.8~client-1.shop~shop.svc.cluster.local";

async function isOpen(port: number): Promise<boolean> {
  const { connect } = await import("node:net");
  return await new Promise((resolve) => {
    const socket = connect(port, address, () => resolve(socket.destroy() !== undefined)).on("error", () =>
      resolve(false),
    );
  });
}

test("no proxy is served and no webhook answers before every kind has been read", async () => {
  const released = Promise.withResolvers<void>();
  const replica = await startReplica(newServer(), "istiod-1", (connection) =>
    connection.held.set("DestinationRule", released.promise),
  );
  await until(async () => (await replica.ready()) === 503);
  await until(() => replica.connection.lists > 20);
  await pause(50);
  assert.equal(await replica.ready(), 503);
  assert.deepEqual([await isOpen(replica.ports.grpc), await isOpen(replica.ports.webhooks)], [false, false]);
  released.resolve();
  await until(async () => (await replica.ready()) === 200);
  assert.deepEqual([await isOpen(replica.ports.grpc), await isOpen(replica.ports.webhooks)], [true, true]);
});

const clusters = async (client: DiscoveryTestClient<"delta">): Promise<readonly string[]> => {
  const answer = await client.next();
  client.send({ typeUrl: typeUrls.cluster, responseNonce: answer.nonce });
  return answer.resources
    .map(({ name }) => name)
    .filter((name) => name.startsWith("outbound|"))
    .sort();
};

test("while the API server is down, proxies stay served, reconnecting ones get the last state, and later changes arrive exactly once", async () => {
  const server = newServer();
  const replica = await startReplica(server, "istiod-1");
  await until(async () => (await replica.ready()) === 200);
  const target = `${address}:${replica.ports.grpc}`;
  const first = new DiscoveryTestClient("delta", target, sidecar);
  first.send({ typeUrl: typeUrls.cluster });
  assert.deepEqual(await clusters(first), ["outbound|80||web.shop.svc.cluster.local"]);

  const { connection } = replica;
  connection.goAway();
  server.put(
    serviceKind,
    service("shop/late", "10.96.0.6", { app: "late" }, [{ name: "http", port: 80, targetPort: 8080 }]),
  );
  server.put(
    destinationRuleKind,
    config("DestinationRule", "shop/late", { host: "late", subsets: [{ name: "v1", labels: { version: "v1" } }] }),
  );
  const second = new DiscoveryTestClient("delta", target, sidecar);
  second.send({ typeUrl: typeUrls.cluster });
  assert.deepEqual(await clusters(second), ["outbound|80||web.shop.svc.cluster.local"]);
  await pause(150);
  assert.equal(first.waiting, 0);
  assert.equal(await replica.ready(), 200);

  const before = { lists: connection.lists, watches: connection.watches };
  connection.comeBack();
  for (const client of [first, second]) {
    const clusterNames = new Set<string>();
    while (!clusterNames.has("outbound|80|v1|late.shop.svc.cluster.local"))
      for (const name of await clusters(client)) clusterNames.add(name);
    assert.deepEqual(
      [...clusterNames].sort(),
      ["outbound|80|v1|late.shop.svc.cluster.local", "outbound|80||late.shop.svc.cluster.local"],
      "nothing else is sent again",
    );
  }
  await until(() => connection.watches - before.watches >= before.watches);
  await pause(100);
  assert.equal(connection.lists, before.lists, "watches go on where they were");
  assert.equal(connection.watches, 2 * before.watches, "each kind is watched again once");
  first.close();
  second.close();
});

test("an API server that lost its history is read again once, and proxies do not get resources that they have", async () => {
  const server = newServer();
  const replica = await startReplica(server, "istiod-1");
  await until(async () => (await replica.ready()) === 200);
  const client = new DiscoveryTestClient("delta", `${address}:${replica.ports.grpc}`, sidecar);
  client.send({ typeUrl: typeUrls.cluster });
  await clusters(client);
  const { connection } = replica;
  const before = connection.lists;
  for (const kind of [serviceKind, podKind, destinationRuleKind]) connection.tooOld.add(kind.plural);
  connection.goAway();
  connection.comeBack();
  await until(() => connection.tooOld.size === 0 && connection.lists >= before + 3);
  await pause(150);
  assert.equal(client.waiting, 0);
  assert.ok(connection.lists - before <= 6, `${connection.lists - before} lists`);
  client.close();
});

/**
 * A clock that runs faster, so that a lease ends within two seconds. It must not run so fast that a leader loses its
 * lease whenever the process pauses for a moment.
 */
function fastClock(factor: number): Clock {
  const start = performance.now();
  return {
    ...systemClock,
    steadyMs: () => start + (performance.now() - start) * factor,
    sleep: async (ms, signal) => await systemClock.sleep(ms / factor, signal),
    after: (ms, run) => systemClock.after(ms / factor, run),
  };
}

test("one of two replicas writes status and deploys gateways; when it is cut off, the other takes over and leaves existing objects alone", async () => {
  const server = newServer();
  const clock = fastClock(8);
  const one = await startReplica(server, "istiod-1", undefined, clock);
  await until(async () => (await one.ready()) === 200);
  const two = await startReplica(server, "istiod-2", undefined, clock);
  await until(async () => (await two.ready()) === 200);
  const route = (name: string) =>
    config("HTTPRoute", `shop/${name}`, {
      parentRefs: [{ name: "edge" }],
      rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
    });
  server.put(
    gatewayKind,
    config("Gateway", "shop/edge", {
      gatewayClassName: "istio",
      listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
    }),
  );
  server.put(httpRouteKind, route("first"));
  await until(
    async () =>
      (await server.get(deploymentKind, "edge-istio", "shop")) !== undefined &&
      (await server.get(httpRouteKind, "first", "shop"))?.status?.parents?.length === 1,
  );
  await pause(100);
  const writers = [one, two].filter(({ connection }) => connection.statusWrites.length > 0);
  assert.equal(writers.length, 1, "one of them writes");
  const leader = writers[0] ?? one;
  const other = leader === one ? two : one;
  assert.ok(leader.connection.statusWrites.some((write) => write.startsWith("Deployment")));

  leader.connection.goAway();
  server.put(httpRouteKind, route("second"));
  await until(async () => (await server.get(httpRouteKind, "second", "shop"))?.status?.parents?.length === 1);
  await pause(100);
  const { statusWrites } = other.connection;
  assert.ok(statusWrites.includes("HTTPRoute second"));
  assert.ok(!statusWrites.includes("HTTPRoute first"), `what is there is left alone: ${statusWrites.join()}`);
  // There is a lease for each task that only one replica does. A lease that no other replica has taken meanwhile still
  // belongs to its former holder.
  const gone = leader === one ? "istiod-1" : "istiod-2";
  await until(async () =>
    (await server.list(leaseKind)).items.every(({ spec }) => spec?.holderIdentity?.startsWith(gone) !== true),
  );
  await pause(100);
  const led = leader.connection.statusWrites.length;
  leader.connection.comeBack();
  server.put(httpRouteKind, route("third"));
  await until(() => other.connection.statusWrites.includes("HTTPRoute third"));
  await pause(100);
  assert.deepEqual(leader.connection.statusWrites.slice(led), [], "who comes back does not lead");
});
