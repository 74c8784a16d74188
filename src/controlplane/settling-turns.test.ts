import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../api/index.ts";
import { DeltaDiscoveryRequestSchema, DeltaDiscoveryResponseSchema } from "../wire/discovery/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import type { ServedMesh } from "./served-mesh.ts";
import { SettlingTurns } from "./settling-turns.ts";
import { config, namespace, pod, service } from "./testing/model-fixture.ts";
import { createServedFixture } from "./testing/served-fixture.ts";

const subsets = 20;

/** A mesh whose every turn is as short as possible, and a sidecar that reads clusters and acknowledges them. */
function startMesh(maxTurnMs: number) {
  const { mesh, write } = createServedFixture({ maxTurnMs });
  const take = (...objects: readonly KubernetesObject[]): void => objects.forEach(write);
  mesh.graph.batch(() => {
    take(
      namespace("shop"),
      pod("shop/web-1", "10.0.0.1", { labels: { app: "web" } }),
      service("shop/web", "10.96.0.1", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    );
  });
  return { mesh, take };
}

function rule(): KubernetesObject {
  return config("DestinationRule", "shop/web", {
    host: "web.shop.svc.cluster.local",
    subsets: Array.from({ length: subsets }, (_, index) => ({ name: `v${index}`, labels: { version: `v${index}` } })),
  });
}

const node = {
  id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local",
  metadata: { NAMESPACE: "shop", LABELS: { app: "web" }, ISTIO_VERSION: "1.31.0" },
};

function connect({ discovery }: ServedMesh) {
  const responses: (readonly string[])[] = [];
  let nonce = "";
  const client = discovery.connect(
    "delta",
    {
      write: (parts) => {
        const response = fromBinary(DeltaDiscoveryResponseSchema, Buffer.concat(parts));
        responses.push(response.resources.map(({ name }) => name));
        nonce = response.nonce;
        return true;
      },
    },
    () => true,
  );
  const send = (request: object): void =>
    client.receive(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, { typeUrl: typeUrls.cluster, ...request }),
      ),
    );
  return {
    responses,
    subscribe: () => send({ node }),
    acknowledge: () => send({ responseNonce: nonce }),
    close: () => client.close(),
  };
}

const ofSubset = /^outbound\|80\|v\d+\|web\.shop\.svc\.cluster\.local$/;
const countSubsets = (names: readonly string[] = []): number => names.filter((name) => ofSubset.test(name)).length;

async function until(holds: () => boolean, each: () => void = () => undefined): Promise<number> {
  for (let turn = 0; turn < 100_000; turn += 1) {
    if (holds()) return turn;
    each();
    await setImmediate();
  }
  throw new Error("this took too many turns");
}

test("a large change is computed in several turns, and a proxy gets it as a whole", async () => {
  const { mesh, take } = startMesh(0);
  const proxy = connect(mesh);
  proxy.subscribe();
  await until(() => proxy.responses.length > 0);
  take(rule());
  await until(() => mesh.graph.isSettling);
  let turns = 0;
  // The proxy's acknowledgement arrives in the middle. It must cause no response with only a part of the change.
  proxy.acknowledge();
  await until(
    () => proxy.responses.length > 1,
    () => (turns += 1),
  );
  assert.ok(turns > subsets, `${turns} turns`);
  assert.equal(countSubsets(proxy.responses[1]), subsets);
  proxy.close();
});

test("a proxy that connects during a large change waits for it", async () => {
  const { mesh, take } = startMesh(0);
  take(rule());
  await until(() => mesh.graph.isSettling);
  const [proxy, gone] = [connect(mesh), connect(mesh)];
  proxy.subscribe();
  gone.subscribe();
  assert.deepEqual([proxy.responses, mesh.discovery.streams.size], [[], 0]);
  gone.close();
  await until(() => proxy.responses.length > 0);
  assert.equal(countSubsets(proxy.responses[0]), subsets);
  assert.deepEqual([gone.responses, mesh.discovery.streams.size], [[], 1], "a closed stream is not opened again");
  proxy.close();
});

test("the views of a proxy that is the first of its kind are computed in several turns", async () => {
  const { mesh, take } = startMesh(0);
  mesh.graph.batch(() => take(rule()));
  const proxy = connect(mesh);
  proxy.subscribe();
  assert.deepEqual([proxy.responses, mesh.graph.isSettling], [[], true]);
  await until(() => proxy.responses.length > 0);
  assert.equal(countSubsets(proxy.responses[0]), subsets);
  const second = connect(mesh);
  second.subscribe();
  assert.equal(countSubsets(second.responses[0]), subsets, "the views of the second one are known");
  proxy.close();
  second.close();
});

test("a write that comes while streams are flushed is settled too", async () => {
  let [settlings, flushes, isTurnOver] = [0, 0, (): void => undefined];
  const turns = new SettlingTurns({
    graph: {
      settleFor: () => {
        settlings += 1;
        return true;
      },
      isSettling: false,
    },
    discovery: {
      flush: () => {
        flushes += 1;
        return flushes >= 3;
      },
      takeHeld: () => true,
    },
    turnMs: 0,
    nextTurn: async () => await new Promise((resolve) => (isTurnOver = resolve)),
  });
  turns.settleAndSend();
  turns.settleAndSend();
  assert.deepEqual([settlings, flushes], [1, 1]);
  isTurnOver();
  await setImmediate();
  assert.deepEqual([settlings, flushes], [2, 2]);
  isTurnOver();
  await setImmediate();
  assert.deepEqual([settlings, flushes], [2, 3]);
  turns.settleAndSend();
  assert.deepEqual([settlings, flushes], [3, 4], "the next change is settled at once");
});
