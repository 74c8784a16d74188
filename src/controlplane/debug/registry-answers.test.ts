import assert from "node:assert/strict";
import { test } from "node:test";
import { endpointShards } from "./registry-answers.ts";

type Sources = Parameters<typeof endpointShards>[0];

const service = {
  registry: "Kubernetes",
  hostname: "web.shop.svc.cluster.local",
  namespace: "shop",
  ports: [{ name: "http", port: 80 }],
};
const endpoint = { labels: {}, address: "10.0.0.1", workload: "", identity: "", locality: {}, clusterId: "west" };

type Answer = Record<string, Record<string, { readonly Shards: Record<string, readonly Record<string, unknown>[]> }>>;

function answerFor(shown: object, more: object = {}, isClusterLocal = false): Answer {
  const sources = {
    registry: { kubernetes: new Map([["shop/web", shown]]), imported: new Map(), entries: new Map() },
    endpoints: {
      entries: new Map(),
      kubernetes: { get: () => [{ ...endpoint, ...more }] },
      remote: new Map(),
      imported: new Map(),
    },
    isClusterLocal: () => isClusterLocal,
  } as unknown as Sources;
  return endpointShards(sources, new URL("http://localhost/"), { take: () => undefined } as never) as Answer;
}

/** The health and the visibility of the only endpoint. */
function answered(more: object, isClusterLocal = false): unknown {
  const answer = answerFor(service, more, isClusterLocal);
  const [found] = answer[service.hostname]?.["shop"]?.Shards["Kubernetes/west"] ?? [];
  return [found?.["HealthStatus"], found?.["ClusterLocal"]];
}

test("endpointShardz tells endpoints that get no requests of other clusters from those that do", () => {
  assert.deepEqual(answered({}), [1, undefined]);
  assert.deepEqual(answered({ draining: true }), [3, undefined]);
  assert.deepEqual(answered({ discoverable: "cluster" }), [1, true], "their cluster does not export them");
  assert.deepEqual(answered({ discoverable: "mesh" }), [1, undefined]);
  assert.deepEqual(answered({}, true), [1, true], "the host means each cluster's own service");
});

test("a host and a namespace that are called like functions of JavaScript change none of them", () => {
  const before = Object.keys;
  const answer = answerFor({ ...service, hostname: "constructor", namespace: "keys" });
  const after = Object.keys;
  Object.keys = before;
  assert.equal(after, before);
  assert.deepEqual(before(answer), ["constructor"]);
  assert.deepEqual(before(answer["constructor"] ?? {}), ["keys"]);
});
