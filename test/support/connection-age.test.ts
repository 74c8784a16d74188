// What clients of a control plane see when its server ends a connection that has reached its maximum age.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { HandClock, until } from "../../src/base/testing/index.ts";
import { DiscoveryServer } from "../../src/controlplane/serve/discovery-server.ts";
import { createDiscoveryMetrics } from "../../src/controlplane/serve/discovery-metrics.ts";
import { createSecureServer, type GrpcServersOptions } from "../../src/controlplane/serve/grpc-servers.ts";
import { CollectionView, emptyView } from "../../src/controlplane/serve/resource-views/resource-view.ts";
import { resourceOf, sameResource, type EncodedResource } from "../../src/controlplane/translate/resource.ts";
import { IstioCertificateClient } from "../../src/dataplane/certificates/istio-certificate-client.ts";
import { DeltaXdsClient } from "../../src/dataplane/xds/delta-xds-client.ts";
import { XdsRelay } from "../../src/dataplane/xds-relay/index.ts";
import { CollectionGraph } from "../../src/kube/index.ts";
import { MetricsRegistry } from "../../src/telemetry/index.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";

const typeUrl = typeUrls.address;
const maxConnectionAgeMs = 5000;
/** After this time, each connection has reached its age, and the server has noticed. */
const pastAgeMs = 7000;

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  listener.close();
  return port;
}

/** A control plane with its own clock, and what the clients need. */
async function serve() {
  const clock = new HandClock();
  let generation = 0;
  const graph = new CollectionGraph({ computed: () => (generation += 1) });
  const addresses = graph.source<EncodedResource>("addresses", sameResource);
  const view = new CollectionView([addresses]);
  const discovery = new DiscoveryServer({
    viewOf: (_proxy, type) => (type === typeUrl ? view : emptyView),
    generation: () => generation,
    metrics: createDiscoveryMetrics(new MetricsRegistry()),
    clock,
    log: silentLogger,
  });
  const signing = Promise.withResolvers<{ chain: readonly string[] }>();
  let requests = 0;
  const server = createSecureServer({
    discovery,
    authenticator: {
      authenticate: async () => ({ namespace: "shop", serviceAccount: "web", pod: "", podUid: "", clusterId: "" }),
    },
    certificates: {
      create: async () => {
        requests += 1;
        return await signing.promise;
      },
    },
    certificateMetrics: { requested() {}, issued() {}, refused() {}, unauthenticated() {} },
    maxConnectionAgeMs,
    clock,
    log: silentLogger,
  } as unknown as GrpcServersOptions);
  const port = await server.listen("127.0.0.1", 0);
  after(() => server.close());
  return {
    discovery,
    url: `http://127.0.0.1:${port}`,
    signing,
    requests: () => requests,
    change: (name: string, version: string): void => {
      graph.batch(() => addresses.set(name, resourceOf(typeUrl, name, version, [])));
      discovery.flush();
    },
    /** Lets time pass for the server, with turns in which clients answer its PINGs. */
    pass: async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 1000) {
        clock.pass(1000);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
  };
}

/** A client that records what it is sent, and how long it pauses before it connects again. */
function follow(url: string) {
  const updates: string[] = [];
  const pauses: number[] = [];
  const ends: string[] = [];
  const stop = new AbortController();
  const client = new DeltaXdsClient({
    endpoint: { url, headers: {} },
    node: { id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local", metadata: {} },
    subscriptions: [
      {
        typeUrl,
        mode: "wildcard",
        apply: ({ resources, removed }) => {
          for (const { name, version } of resources) updates.push(`${name}@${version}`);
          for (const name of removed) updates.push(`no ${name}`);
        },
      },
    ],
    log: silentLogger,
    clock: {
      ...systemClock,
      nowMs: () => systemClock.nowMs(),
      steadyMs: () => systemClock.steadyMs(),
      after: (ms, run) => systemClock.after(ms, run),
      sleep: async (ms, signal) => {
        pauses.push(ms);
        await systemClock.sleep(ms, signal);
      },
    },
    onEnded: (reason) => ends.push(reason),
  });
  const done = client.run(stop.signal);
  after(async () => {
    stop.abort();
    await done;
  });
  return { client, updates, pauses, ends };
}

test("a client whose connections reach their age loses no update, and resumes with what it has, at once", async () => {
  const { discovery, url, change, pass } = await serve();
  change("a", "1");
  change("b", "1");
  const { client, updates, pauses, ends } = follow(url);
  await client.synced;
  for (let round = 2; round < 6; round += 1) {
    change("a", `${round} before`);
    await pass(pastAgeMs);
    await until(() => ends.length === round - 1);
    // The client may have no stream now.
    change("a", `${round} after`);
    await until(() => updates.at(-1) === `a@${round} after`);
    await until(() => discovery.streams.size === 1);
  }
  assert.equal(updates.filter((update) => update.startsWith("b@")).length, 1, "what it has is not sent again");
  assert.equal(new Set(updates).size, updates.length, "nothing is sent twice");
  for (let round = 2; round < 6; round += 1) assert.ok(updates.includes(`a@${round} before`));
  assert.deepEqual(new Set(ends), new Set(["Complete"]));
  assert.ok(Math.max(...pauses) <= 100, `it paused ${pauses.join(", ")} ms`);
});

test("a client without news connects again just as fast each time", async () => {
  const { discovery, url, change, pass } = await serve();
  change("a", "1");
  const { client, updates, pauses, ends } = follow(url);
  await client.synced;
  for (let round = 1; round < 6; round += 1) {
    await pass(pastAgeMs);
    await until(() => ends.length === round && discovery.streams.size === 1 && client.connected);
  }
  assert.deepEqual(updates, ["a@1"]);
  assert.ok(Math.max(...pauses) <= 100, `it paused ${pauses.join(", ")} ms`);
});

test("a stream through the pod's relay ends as the control plane's does, and its client resumes", async () => {
  const { discovery, url, change, pass } = await serve();
  change("a", "1");
  change("b", "1");
  const port = await freePort();
  const relay = new XdsRelay({ endpoint: { url, headers: {} }, address: `127.0.0.1:${port}`, log: silentLogger });
  await relay.listen();
  after(() => relay.close());
  const { client, updates, ends } = follow(`http://127.0.0.1:${port}`);
  await client.synced;
  change("a", "2");
  await pass(pastAgeMs);
  await until(() => ends.length === 1);
  change("a", "3");
  await until(() => updates.at(-1) === "a@3" && discovery.streams.size === 1);
  assert.deepEqual([updates, ends], [["a@1", "b@1", "a@2", "a@3"], ["Complete"]]);
});

test("a request for a certificate that takes longer than the connection may live gets its answer", async () => {
  const { url, signing, requests, pass } = await serve();
  const client = new IstioCertificateClient({ endpoint: { url, headers: {} }, impersonate: false });
  const signed = client.sign(
    { csrPem: "x", identity: "spiffe://cluster.local/ns/shop/sa/web", validitySeconds: 60 },
    new AbortController().signal,
  );
  await until(() => requests() === 1);
  await pass(pastAgeMs);
  // The server gives the last calls of a connection 10 s.
  signing.resolve({ chain: ["certificate"] });
  assert.deepEqual(await signed, ["certificate"]);
});
