import assert from "node:assert/strict";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { silentLogger, systemClock, userError } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import { ClusterSchema, ClusterLoadAssignmentSchema, RouteConfigurationSchema } from "../../wire/envoy/index.ts";
import { DiscoveryResponseSchema } from "../../wire/discovery/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { Caller } from "../ca/index.ts";
import { encodeResource, sameResource, type EncodedResource } from "../translate/resource.ts";
import { acknowledgements } from "./acknowledgement.ts";
import { createDiscoveryMetrics } from "./discovery-metrics.ts";
import { DiscoveryServer } from "./discovery-server.ts";
import { GrpcServer } from "./grpc/index.ts";
import { discoveryService } from "./grpc-service.ts";
import { CollectionView, emptyView } from "./resource-views/resource-view.ts";
import { DiscoveryTestClient } from "./testing/discovery-client.ts";

const maxRequestBytes = 100_000;
const nodeId = "router~10.0.0.1~edge-1.shop~shop.svc.cluster.local";

function cluster(name: string, seconds = 1): EncodedResource {
  return encodeResource(
    ClusterSchema,
    name,
    create(ClusterSchema, { name, connectTimeout: { seconds: BigInt(seconds) } }),
  );
}

function endpoints(name: string): EncodedResource {
  return encodeResource(ClusterLoadAssignmentSchema, name, create(ClusterLoadAssignmentSchema, { clusterName: name }));
}

function route(name: string, host = "*"): EncodedResource {
  return encodeResource(
    RouteConfigurationSchema,
    name,
    create(RouteConfigurationSchema, { name, virtualHosts: [{ name: host, domains: [host] }] }),
  );
}

async function serve(
  authenticate?: () => Promise<Caller>,
  more: Partial<ConstructorParameters<typeof DiscoveryServer>[0]> = {},
) {
  let generation = 0;
  const graph = new CollectionGraph({ computed: () => (generation += 1) });
  const clusters = graph.source<EncodedResource>("clusters", sameResource);
  const assignments = graph.source<EncodedResource>("endpoints", sameResource);
  const routes = graph.source<EncodedResource>("routes", sameResource);
  const views = new Map([
    [typeUrls.cluster as string, new CollectionView([clusters])],
    [typeUrls.endpoint as string, new CollectionView([assignments])],
    [typeUrls.route as string, new CollectionView([routes])],
  ]);
  const discovery = new DiscoveryServer({
    viewOf: (_proxy, typeUrl) => views.get(typeUrl) ?? emptyView,
    generation: () => generation,
    metrics: createDiscoveryMetrics(new MetricsRegistry()),
    clock: systemClock,
    log: silentLogger,
    ...more,
  });
  const change = (run: () => void): void => {
    graph.batch(run);
    discovery.flush();
  };
  const methods = new Map(discoveryService({ discovery, authenticate, log: silentLogger }));
  const server = new GrpcServer({ methods, maxRequestBytes, clock: systemClock, log: silentLogger });
  const port = await server.listen("127.0.0.1", 0);
  after(() => server.close());
  return {
    clusters,
    assignments,
    routes,
    discovery,
    change,
    target: `127.0.0.1:${port}`,
    generation: () => generation,
  };
}

const namesOf = (response: { resources: { name: string }[] }): string[] =>
  response.resources.map((resource) => resource.name).sort();

test("delta: all resources first, then only changes, and a reconnect with equal versions sends nothing", async () => {
  const { clusters, change, target } = await serve();
  change(() => {
    for (const name of ["a", "b", "c"]) clusters.set(name, cluster(name));
  });
  const client = new DiscoveryTestClient("delta", target, nodeId);
  client.send({ typeUrl: typeUrls.cluster });
  const first = await client.next();
  assert.deepEqual(namesOf(first), ["a", "b", "c"]);
  client.send({ typeUrl: typeUrls.cluster, responseNonce: first.nonce });
  change(() => clusters.set("b", cluster("b", 2)));
  const second = await client.next();
  assert.deepEqual([namesOf(second), second.removedResources], [["b"], []]);
  client.send({ typeUrl: typeUrls.cluster, responseNonce: second.nonce });
  change(() => clusters.delete("a"));
  const third = await client.next();
  assert.deepEqual([namesOf(third), third.removedResources], [[], ["a"]]);
  client.close();

  const known: Record<string, string> = {
    ...Object.fromEntries(first.resources.map((resource) => [resource.name, resource.version])),
    b: second.resources[0]?.version ?? "",
  };
  delete known["a"];
  const again = new DiscoveryTestClient("delta", target, nodeId);
  again.send({ typeUrl: typeUrls.cluster, initialResourceVersions: known });
  const answer = await again.next();
  assert.deepEqual([namesOf(answer), answer.removedResources], [[], []]);
  again.close();

  const stale = new DiscoveryTestClient("delta", target, nodeId);
  stale.send({ typeUrl: typeUrls.cluster, initialResourceVersions: { ...known, a: "old", c: "old" } });
  const repaired = await stale.next();
  assert.deepEqual([namesOf(repaired), repaired.removedResources], [["c"], ["a"]]);
  stale.close();
});

test("delta: changes that arrive before the acknowledgement are merged into one response", async () => {
  const { clusters, change, target } = await serve();
  const client = new DiscoveryTestClient("delta", target, nodeId);
  client.send({ typeUrl: typeUrls.cluster });
  const empty = await client.next();
  assert.equal(empty.resources.length, 0);
  change(() => clusters.set("a", cluster("a", 1)));
  change(() => clusters.set("a", cluster("a", 2)));
  change(() => clusters.set("b", cluster("b")));
  assert.equal(client.waiting, 0);
  client.send({ typeUrl: typeUrls.cluster, responseNonce: empty.nonce });
  assert.deepEqual(namesOf(await client.next()), ["a", "b"]);
  client.close();
});

test("a route to a new cluster follows the acknowledgement of the cluster and its endpoints, and removals come last", async () => {
  const { clusters, assignments, routes, change, target, discovery } = await serve();
  change(() => {
    clusters.set("old", cluster("old"));
    assignments.set("old", endpoints("old"));
    routes.set("http.80", route("http.80"));
  });
  const client = new DiscoveryTestClient("delta", target, nodeId);
  const acknowledge = (response: { typeUrl: string; nonce: string }): void =>
    client.send({ typeUrl: response.typeUrl, responseNonce: response.nonce });
  client.send({ typeUrl: typeUrls.cluster });
  acknowledge(await client.next());
  client.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: ["old"] });
  acknowledge(await client.next());
  client.send({ typeUrl: typeUrls.route, resourceNamesSubscribe: ["http.80"] });
  acknowledge(await client.next());
  await until(() =>
    [...discovery.streams].every((stream) =>
      [...stream.subscriptions.values()].every((subscription) => subscription.idle),
    ),
  );
  change(() => {
    clusters.delete("old");
    assignments.delete("old");
    clusters.set("new", cluster("new"));
    assignments.set("new", endpoints("new"));
    routes.set("http.80", route("http.80", "shop.example"));
  });
  const added = await client.next();
  assert.deepEqual([added.typeUrl, namesOf(added), added.removedResources], [typeUrls.cluster, ["new"], []]);
  acknowledge(added);
  client.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: ["new"] });
  const warmed = await client.next();
  assert.deepEqual([warmed.typeUrl, namesOf(warmed)], [typeUrls.endpoint, ["new"]]);
  assert.equal(client.waiting, 0);
  acknowledge(warmed);
  const routed = await client.next();
  assert.deepEqual([routed.typeUrl, namesOf(routed)], [typeUrls.route, ["http.80"]]);
  acknowledge(routed);
  const endpointsGone = await client.next();
  assert.deepEqual([endpointsGone.typeUrl, endpointsGone.removedResources], [typeUrls.endpoint, ["old"]]);
  acknowledge(endpointsGone);
  const clustersGone = await client.next();
  assert.deepEqual([clustersGone.typeUrl, clustersGone.removedResources], [typeUrls.cluster, ["old"]]);
  client.close();
});

test("an Envoy gets a cluster's endpoints again with every change of the cluster, because it waits for them without asking", async () => {
  const { clusters, assignments, change, target } = await serve();
  change(() => {
    for (const name of ["a", "b"]) {
      clusters.set(name, cluster(name));
      assignments.set(name, endpoints(name));
    }
  });
  const client = new DiscoveryTestClient("delta", target, nodeId, { userAgentName: "envoy" });
  client.send({ typeUrl: typeUrls.cluster });
  const first = await client.next();
  client.send({ typeUrl: typeUrls.endpoint, resourceNamesSubscribe: ["a", "b"] });
  const assigned = await client.next();
  client.send({ typeUrl: typeUrls.endpoint, responseNonce: assigned.nonce });
  client.send({ typeUrl: typeUrls.cluster, responseNonce: first.nonce });
  change(() => clusters.set("a", cluster("a", 2)));
  assert.deepEqual(namesOf(await client.next()), ["a"]);
  const again = await client.next();
  assert.deepEqual(
    [again.typeUrl, namesOf(again)],
    [typeUrls.endpoint, ["a"]],
    "while the cluster is not acknowledged",
  );
  client.close();

  change(() => clusters.set("b", cluster("b", 2)));
  const known = (response: { resources: { name: string; version: string }[] }): Record<string, string> =>
    Object.fromEntries(response.resources.map(({ name, version }) => [name, version]));
  const reconnected = new DiscoveryTestClient("delta", target, nodeId, { userAgentName: "envoy" });
  reconnected.send({
    typeUrl: typeUrls.cluster,
    initialResourceVersions: { ...known(first), a: clusters.get("a")?.version ?? "" },
  });
  assert.deepEqual(namesOf(await reconnected.next()), ["b"]);
  reconnected.send({
    typeUrl: typeUrls.endpoint,
    resourceNamesSubscribe: ["a", "b"],
    initialResourceVersions: known(assigned),
  });
  assert.deepEqual(namesOf(await reconnected.next()), ["b"]);
  reconnected.close();
});

test("a change counts as acknowledged after the ACK, and a NACK is reported with its reason", async () => {
  const { clusters, change, target, discovery, generation } = await serve();
  const client = new DiscoveryTestClient("delta", target, nodeId);
  client.send({ typeUrl: typeUrls.cluster });
  client.send({ typeUrl: typeUrls.cluster, responseNonce: (await client.next()).nonce });
  change(() => clusters.set("a", cluster("a")));
  const caused = generation();
  const response = await client.next();
  assert.deepEqual(acknowledgements(discovery, caused, () => true)[0], {
    id: "edge-1.shop",
    type: "router",
    connected: true,
    acknowledged: false,
    rejected: null,
  });
  client.send({ typeUrl: typeUrls.cluster, responseNonce: response.nonce });
  change(() => clusters.set("a", cluster("a", 2)));
  const bad = await client.next();
  assert.equal(acknowledgements(discovery, caused, () => true)[0]?.acknowledged, true);
  client.send({
    typeUrl: typeUrls.cluster,
    responseNonce: bad.nonce,
    errorDetail: { code: 3, message: "no such filter" },
  });
  change(() => clusters.set("b", cluster("b")));
  const next = await client.next();
  assert.deepEqual(acknowledgements(discovery, caused + 1, () => true)[0]?.rejected, {
    typeUrl: typeUrls.cluster,
    reason: "no such filter",
  });
  assert.equal(acknowledgements(discovery, caused, () => true)[0]?.acknowledged, true);
  client.send({ typeUrl: typeUrls.cluster, responseNonce: next.nonce });
  client.close();
});

test("state of the world: clusters are sent whole, endpoints one by one, and an equal version is not sent again", async () => {
  const { clusters, assignments, change, target } = await serve();
  change(() => {
    for (const name of ["a", "b"]) {
      clusters.set(name, cluster(name));
      assignments.set(name, endpoints(name));
    }
  });
  const client = new DiscoveryTestClient("whole", target, nodeId);
  client.send({ typeUrl: typeUrls.cluster });
  const first = await client.next();
  assert.equal(first.resources.length, 2);
  client.send({ typeUrl: typeUrls.cluster, responseNonce: first.nonce, versionInfo: first.versionInfo });
  client.send({ typeUrl: typeUrls.endpoint, resourceNames: ["a", "b"] });
  const second = await client.next();
  assert.equal(second.resources.length, 2);
  client.send({
    typeUrl: typeUrls.endpoint,
    responseNonce: second.nonce,
    versionInfo: second.versionInfo,
    resourceNames: ["a", "b"],
  });
  await new Promise((resolve) => setImmediate(resolve));
  change(() => clusters.set("a", cluster("a", 2)));
  const third = await client.next();
  assert.deepEqual([third.typeUrl, third.resources.length], [typeUrls.cluster, 2]);
  client.close();

  const again = new DiscoveryTestClient("whole", target, nodeId);
  again.send({ typeUrl: typeUrls.cluster, versionInfo: third.versionInfo });
  again.send({ typeUrl: typeUrls.endpoint, resourceNames: ["a"] });
  assert.equal((await again.next()).typeUrl, typeUrls.endpoint);
  again.close();
});

test("state of the world: names that are requested after an acknowledgement are answered, and an ACK of an older response does not acknowledge the last one", async () => {
  const { assignments, change, target } = await serve();
  change(() => {
    for (const name of ["a", "b", "c"]) assignments.set(name, endpoints(name));
  });
  const client = new DiscoveryTestClient("whole", target, nodeId);
  client.send({ typeUrl: typeUrls.endpoint, resourceNames: ["a"] });
  const first = await client.next();
  const acknowledgement = { typeUrl: typeUrls.endpoint, responseNonce: first.nonce, versionInfo: first.versionInfo };
  client.send({ ...acknowledgement, resourceNames: ["a"] });
  client.send({ ...acknowledgement, resourceNames: ["a", "b"] });
  const second = await client.next();
  assert.equal(second.resources.length, 2);
  client.send({ ...acknowledgement, resourceNames: ["a", "b", "c"] });
  client.send({
    typeUrl: typeUrls.endpoint,
    responseNonce: second.nonce,
    versionInfo: second.versionInfo,
    resourceNames: ["a", "b"],
  });
  client.send({ typeUrl: typeUrls.route, resourceNames: [] });
  assert.equal(
    (await client.next()).typeUrl,
    typeUrls.route,
    "the third name came with an answer to the first response",
  );
  client.close();
});

test("a request above the limit ends the stream with the reason, and a long one of many frames below it is read whole", async () => {
  const { target, clusters, change } = await serve();
  change(() => clusters.set("a", cluster("a")));
  const client = new DiscoveryTestClient("delta", target, nodeId);
  const names = Array.from({ length: 4000 }, (_, index) => `name-${index}-of-many`);
  client.send({ typeUrl: typeUrls.cluster, resourceNamesSubscribe: ["a", ...names] });
  const answer = await client.next();
  assert.deepEqual([namesOf(answer), answer.removedResources.length], [["a"], names.length]);
  client.send({ typeUrl: typeUrls.cluster, resourceNamesSubscribe: ["x".repeat(maxRequestBytes)] });
  await assert.rejects(client.next(), {
    code: grpc.status.RESOURCE_EXHAUSTED,
    details: /a request may have at most 100000 bytes/,
  });
  client.close();
});

test("a client that compresses its requests is answered like any other", async () => {
  const { target, clusters, change } = await serve();
  change(() => clusters.set("a", cluster("a")));
  const client = new DiscoveryTestClient("delta", target, nodeId, { compressed: true });
  client.send({ typeUrl: typeUrls.cluster });
  const first = await client.next();
  client.send({ typeUrl: typeUrls.cluster, responseNonce: first.nonce });
  client.send({ typeUrl: typeUrls.endpoint });
  assert.deepEqual([namesOf(first), (await client.next()).typeUrl], [["a"], typeUrls.endpoint]);
  client.close();
});

test("an invalid node id ends the stream with the reason", async () => {
  const { target } = await serve();
  const client = new DiscoveryTestClient("delta", target, "nobody");
  client.send({ typeUrl: typeUrls.cluster });
  await assert.rejects(client.next(), /node id must be <type>~<address>/);
  client.close();
});

test("a client that subscribes to too many types is disconnected, which bounds its memory", async () => {
  const { target } = await serve();
  const client = new DiscoveryTestClient("delta", target, nodeId);
  for (let type = 0; type <= 32; type += 1) client.send({ typeUrl: `type.googleapis.com/example.Type${type}` });
  const answers = async (): Promise<void> => {
    for (;;) await client.next();
  };
  await assert.rejects(answers(), /a stream may subscribe to at most 32 types of resources/);
  client.close();
});

test("requests are neither read nor refused before authentication, and a rejected client gets one error", async () => {
  const authenticating = Promise.withResolvers<void>();
  const letIn = Promise.withResolvers<Caller>();
  const { target, discovery } = await serve(async () => {
    authenticating.resolve();
    return await letIn.promise;
  });
  const client = new DiscoveryTestClient("delta", target, nodeId);
  const first = Array.from({ length: 200 }, (_, index) => `early-${index}-${"x".repeat(1000)}`);
  for (const name of first) client.send({ typeUrl: typeUrls.cluster, resourceNamesSubscribe: [name] });
  await authenticating.promise;
  assert.equal(discovery.streams.size, 0);
  letIn.resolve({ namespace: "shop", serviceAccount: "", pod: "", podUid: "", clusterId: "" });
  const removed: string[] = [];
  while (removed.length < first.length) {
    const { nonce, removedResources } = await client.next();
    removed.push(...removedResources);
    client.send({ typeUrl: typeUrls.cluster, responseNonce: nonce });
  }
  assert.deepEqual(removed, first);
  client.close();
  const refused = await serve(() => Promise.reject(userError("unauthenticated", "who are you")));
  const stranger = new DiscoveryTestClient("delta", refused.target, nodeId);
  stranger.send({ typeUrl: typeUrls.cluster, resourceNamesSubscribe: ["x".repeat(maxRequestBytes)] });
  await assert.rejects(stranger.next(), { code: grpc.status.UNAUTHENTICATED, details: "who are you" });
  stranger.close();
});

for (const protocol of ["delta", "whole"] as const) {
  test(`${protocol}: ten megabytes of subscriptions, in one request or in many, end the stream with the reason, and others are served`, async () => {
    const { target, discovery, clusters, change } = await serve();
    change(() => clusters.set("a", cluster("a")));
    const megabytes = 10;
    const names = Array.from({ length: (megabytes << 20) / 1024 }, (_, index) => `name-${index}-`.padEnd(1024, "x"));
    const sendRequest = (
      client: DiscoveryTestClient<typeof protocol>,
      typeUrl: string,
      resourceNames: string[],
    ): void =>
      client.send(
        protocol === "delta"
          ? { typeUrl, resourceNamesSubscribe: resourceNames }
          : { typeUrl, resourceNames: resourceNames },
      );
    const ended = async (client: DiscoveryTestClient<typeof protocol>): Promise<void> => {
      try {
        for (;;) await client.next();
      } finally {
        client.close();
      }
    };
    const atOnce = new DiscoveryTestClient(protocol, target, nodeId);
    sendRequest(atOnce, typeUrls.endpoint, names);
    await assert.rejects(ended(atOnce), {
      code: grpc.status.RESOURCE_EXHAUSTED,
      details: /a request may have at most 100000 bytes, got 1\d{7}/,
    });
    const bitByBit = new DiscoveryTestClient(protocol, target, nodeId);
    // A state-of-the-world request contains all names of a type each time. This client requests as many names as a
    // request may hold, of many types.
    for (let at = 0; at < names.length; at += 90)
      sendRequest(
        bitByBit,
        protocol === "delta" ? typeUrls.endpoint : `type.googleapis.com/example.Type${at}`,
        names.slice(at, at + 90),
      );
    await assert.rejects(ended(bitByBit), {
      code: grpc.status.INVALID_ARGUMENT,
      details:
        protocol === "delta"
          ? /the names that a stream subscribes to may have at most 8388608 characters together/
          : /a stream may subscribe to at most 32 types/,
    });
    const other = new DiscoveryTestClient(protocol, target, nodeId);
    sendRequest(other, typeUrls.cluster, []);
    assert.equal((await other.next()).resources.length, 1);
    assert.equal(discovery.streams.size, 1);
    other.close();
  });
}

test("a rejection of a type whose name is that of a property of every object does not end the stream", async () => {
  const { clusters, change, target } = await serve();
  change(() => clusters.set("a", cluster("a")));
  for (const typeUrl of ["constructor", "x/toString", "__proto__", "x/__proto__", "x/hasOwnProperty"]) {
    const client = new DiscoveryTestClient("delta", target, nodeId);
    client.send({ typeUrl });
    const { nonce } = await client.next();
    client.send({ typeUrl, responseNonce: nonce, errorDetail: { code: 3, message: "no" } });
    client.send({ typeUrl: typeUrls.cluster });
    assert.deepEqual(namesOf(await client.next()), ["a"], typeUrl);
    client.close();
  }
});

test("a debug request is answered while the model settles, unless a request before it waits for the model", async () => {
  let isSettling = true;
  const asked: (readonly string[])[] = [];
  const { target, discovery } = await serve(undefined, {
    turns: { isSettling: () => isSettling, settle: () => (isSettling = false), expect: () => true },
    debug: {
      answer: async (_server, _proxy, { names, typeUrl, nonce }) => {
        asked.push(names);
        const response = create(DiscoveryResponseSchema, { typeUrl, nonce });
        return await Promise.resolve(Buffer.from(toBinary(DiscoveryResponseSchema, response)));
      },
    },
  });
  const typeUrl = "istio.io/debug";
  const [client, proxy] = [
    new DiscoveryTestClient("whole", target, nodeId),
    new DiscoveryTestClient("whole", target, nodeId),
  ];
  client.send({ typeUrl, resourceNames: ["syncz"] });
  await until(() => asked.length > 0);
  assert.deepEqual([asked, isSettling], [[["syncz"]], true]);
  proxy.send({ typeUrl: typeUrls.cluster });
  proxy.send({ typeUrl, resourceNames: ["second"] });
  await sleep(100);
  client.send({ typeUrl, resourceNames: ["third"] });
  await until(() => asked.length > 1);
  assert.deepEqual(asked.slice(1), [["third"]]);
  isSettling = false;
  discovery.takeHeld();
  await until(() => asked.length > 2);
  assert.deepEqual(asked[2], ["second"]);
  client.close();
  proxy.close();
});
