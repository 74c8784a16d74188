import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { SerinError, silentLogger, systemClock } from "../../base/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { MetricsRegistry } from "../../telemetry/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../../wire/discovery/index.ts";
import { ClusterSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { encodeResource, sameResource, type EncodedResource } from "../translate/resource.ts";
import { createDiscoveryMetrics } from "./discovery-metrics.ts";
import { DiscoveryServer } from "./discovery-server.ts";
import type { DiscoveryProtocol } from "./read-request.ts";
import { CollectionView, emptyView } from "./resource-views/resource-view.ts";

const node = { id: "sidecar~10.0.0.1~a-1.shop~shop.svc.cluster.local" };
const types = [
  typeUrls.cluster,
  typeUrls.endpoint,
  typeUrls.listener,
  typeUrls.route,
  typeUrls.virtualHost,
  "type.googleapis.com/of.nobody",
];
const names = ["a", "b", "c", "nobody", "*", ""];

function start() {
  const graph = new CollectionGraph();
  const resources = graph.source<EncodedResource>("resources", sameResource);
  const view = new CollectionView([resources]);
  const server = new DiscoveryServer({
    viewOf: (_proxy, typeUrl) => (types.indexOf(typeUrl) < 5 ? view : emptyView),
    generation: () => 1,
    metrics: createDiscoveryMetrics(new MetricsRegistry()),
    clock: systemClock,
    log: silentLogger,
  });
  const set = (name: string, seconds: number): void => {
    graph.batch(() =>
      resources.set(
        name,
        encodeResource(
          ClusterSchema,
          name,
          create(ClusterSchema, { name, connectTimeout: { seconds: BigInt(seconds) } }),
        ),
      ),
    );
    server.flush();
  };
  const remove = (name: string): void => {
    graph.batch(() => resources.delete(name));
    server.flush();
  };
  return { server, resources, set, remove };
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant("ask" as const),
      type: fc.constantFrom(...types),
      subscribe: fc.array(fc.constantFrom(...names), { maxLength: 3 }),
      unsubscribe: fc.array(fc.constantFrom(...names), { maxLength: 2 }),
      nonce: fc.constantFrom("last", "old", "", "1-99999"),
      known: fc.dictionary(fc.constantFrom(...names), fc.constantFrom("", "x"), { maxKeys: 2 }),
      rejects: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant("set" as const),
      name: fc.constantFrom("a", "b", "c"),
      seconds: fc.nat(5),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("remove" as const), name: fc.constantFrom("a", "b", "c") }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant("garbage" as const), bytes: fc.uint8Array({ maxLength: 60 }) }),
  },
);

for (const protocol of ["delta", "state-of-the-world"] as const) {
  test(`${protocol}: every client request is answered or refused with a reason, and leaves nothing behind`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { server, set, remove } = start();
        const nonces = new Map<string, string[]>();
        const sink = {
          write: (parts: readonly Buffer[]): boolean => {
            const { typeUrl, nonce } = decode(protocol, Buffer.concat(parts));
            nonces.set(typeUrl, [...(nonces.get(typeUrl) ?? []), nonce]);
            return true;
          },
        };
        let client = server.connect(protocol, sink, () => false);
        let isFirst = true;
        for (const one of steps) {
          try {
            if (one.what === "set") set(one.name, one.seconds);
            else if (one.what === "remove") remove(one.name);
            else if (one.what === "garbage") client.receive(one.bytes);
            else {
              const sent = nonces.get(one.type) ?? [];
              const nonce =
                one.nonce === "last" ? (sent.at(-1) ?? "") : one.nonce === "old" ? (sent[0] ?? "") : one.nonce;
              client.receive(encode(protocol, { ...one, nonce, isFirst }));
              isFirst = false;
            }
          } catch (error) {
            assert.ok(error instanceof SerinError && error.kind === "user", String(error));
            client.close();
            client = server.connect(protocol, sink, () => false);
            isFirst = true;
            nonces.clear();
          }
          assert.ok(server.streams.size <= 1);
        }
        client.close();
        assert.equal(server.streams.size, 0);
      }),
      { numRuns: 300 },
    );
  });
}

interface ModelRequest {
  readonly type: string;
  readonly subscribe: string[];
  readonly unsubscribe: string[];
  readonly nonce: string;
  readonly known: Record<string, string>;
  readonly rejects: boolean;
  readonly isFirst: boolean;
}

function encode(
  protocol: DiscoveryProtocol,
  { type: typeUrl, subscribe, unsubscribe, nonce: responseNonce, known, rejects, isFirst }: ModelRequest,
): Uint8Array {
  const common = {
    typeUrl,
    responseNonce,
    ...(isFirst ? { node } : {}),
    ...(rejects ? { errorDetail: { code: 3, message: "no" } } : {}),
  };
  if (protocol === "delta")
    return toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        ...common,
        resourceNamesSubscribe: subscribe,
        resourceNamesUnsubscribe: unsubscribe,
        initialResourceVersions: known,
      }),
    );
  return toBinary(
    DiscoveryRequestSchema,
    create(DiscoveryRequestSchema, { ...common, resourceNames: subscribe, versionInfo: Object.values(known)[0] ?? "" }),
  );
}

function decode(protocol: DiscoveryProtocol, bytes: Uint8Array): { readonly typeUrl: string; readonly nonce: string } {
  return protocol === "delta"
    ? fromBinary(DeltaDiscoveryResponseSchema, bytes)
    : fromBinary(DiscoveryResponseSchema, bytes);
}

test("ten thousand reconnects of one proxy, and as many of others, leave no state behind, and a silent client is disconnected with a reason", () => {
  const timers: (() => void)[] = [];
  const graph = new CollectionGraph();
  const resources = graph.source<EncodedResource>("resources", sameResource);
  const view = new CollectionView([resources]);
  const after = (_ms: number, run: () => void): Disposable => {
    timers.push(run);
    return {
      [Symbol.dispose]: () => {
        if (timers.includes(run)) timers.splice(timers.indexOf(run), 1);
      },
    };
  };
  const clock = { nowMs: () => 0, steadyMs: () => 0, sleep: async () => undefined, after };
  const server = new DiscoveryServer({
    viewOf: () => view,
    generation: () => 1,
    metrics: createDiscoveryMetrics(new MetricsRegistry()),
    clock,
    log: silentLogger,
  });
  const reconnect = (id: string): void => {
    const client = server.connect("delta", { write: () => true }, () => false);
    client.receive(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, { node: { id }, typeUrl: typeUrls.cluster }),
      ),
    );
    client.close();
  };
  for (let round = 0; round < 10_000; round += 1) reconnect(node.id);
  assert.deepEqual([server.streams.size, timers.length, server.recentlyGone().length], [0, 0, 1]);
  for (let round = 0; round <= 10_000; round += 1) reconnect(`sidecar~10.0.0.1~b-${round}.shop~shop.svc.cluster.local`);
  assert.deepEqual([server.streams.size, timers.length, server.recentlyGone().length], [0, 0, 10_000]);
  const refused: string[] = [];
  server.connect("delta", { write: () => true, refuse: (error) => refused.push(error.message) }, () => false);
  timers[0]?.();
  assert.deepEqual(refused, ["the first request of a stream must come within 30 s"]);
});

test("a client that repeatedly claims removed resources without reading answers is disconnected with a reason", () => {
  const { server } = start();
  const client = server.connect("delta", { write: () => false }, () => false);
  const sendRequest = (more: {
    readonly subscribe?: string[];
    readonly unsubscribe?: string[];
    readonly known?: Record<string, string>;
  }): void =>
    client.receive(
      encode("delta", {
        type: typeUrls.cluster,
        subscribe: [],
        unsubscribe: [],
        nonce: "",
        known: {},
        rejects: false,
        isFirst: true,
        ...more,
      }),
    );
  sendRequest({ subscribe: ["*"] });
  const churn = (): void => {
    for (let round = 0; round < 100; round += 1) {
      sendRequest({ unsubscribe: ["*"] });
      sendRequest({
        subscribe: ["*"],
        known: Object.fromEntries(
          Array.from({ length: 100 }, (_, index) => [`gone-${round}-${index}-`.padEnd(1024, "x"), "1"]),
        ),
      });
    }
  };
  assert.throws(churn, { code: "bad-request" });
  client.close();
});
