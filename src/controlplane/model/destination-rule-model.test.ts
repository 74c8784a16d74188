import assert from "node:assert/strict";
import { test } from "node:test";
import type { DestinationSubset } from "../../api/istio/index.ts";
import { config, createModelFixture } from "../testing/model-fixture.ts";
import { deriveDestinationRules, subsetOf } from "./destination-rule-model.ts";

const subset = (name: string, version = name): object => ({ name, labels: { version } });

function mergedRules(...rules: readonly (readonly [name: string, spec: object])[]) {
  const { graph, inputs, apply } = createModelFixture();
  const { hosts } = deriveDestinationRules(graph, inputs);
  apply(
    ...rules.map(([name, spec], index) =>
      config(
        "DestinationRule",
        `shop/${name}`,
        { host: "web.shop.svc.cluster.local", ...spec },
        {
          creationTimestamp: new Date(Date.UTC(2026, 0, 1) + index * 1000).toISOString(),
        },
      ),
    ),
  );
  return (
    hosts
      .get("shop/web.shop.svc.cluster.local")
      ?.local.map(({ name, subsets, trafficPolicy }) => [
        name,
        subsets.map((one) => `${one.name}=${one.labels["version"]}`).join(),
        trafficPolicy?.loadBalancer?.simple,
      ]) ?? []
  );
}

const balanced = (simple: string): object => ({ trafficPolicy: { loadBalancer: { simple } } });

test("rules of one host are one rule: the oldest one's subset of each name, and the oldest traffic policy", () => {
  assert.deepEqual(
    mergedRules(
      ["a", { subsets: [subset("v1"), subset("v2")] }],
      ["b", { subsets: [subset("v2", "other"), subset("v3")], ...balanced("RANDOM") }],
      ["c", { subsets: [subset("v3", "other")], ...balanced("ROUND_ROBIN") }],
    ),
    [["a", "v1=v1,v2=v2,v3=v3", "RANDOM"]],
  );
});

test("rules for some clients are not merged with those for others", () => {
  const forApp = (app: string): object => ({ workloadSelector: { matchLabels: { app } } });
  assert.deepEqual(
    mergedRules(
      ["a", { subsets: [subset("v1")] }],
      ["b", { subsets: [subset("v2")], ...forApp("x") }],
      ["c", { subsets: [subset("v3")], ...forApp("x") }],
    ),
    [
      ["b", "v2=v2,v3=v3", undefined],
      ["a", "v1=v1", undefined],
    ],
  );
});

test("a rule's subsets are searched once, however many are asked for", () => {
  let reads = 0;
  const subsets = Array.from({ length: 1000 }, (_, index) => {
    const name = `v${index}`;
    return {
      get name() {
        reads += 1;
        return name;
      },
    } as DestinationSubset;
  });
  for (let index = 0; index < 1000; index += 1) assert.equal(subsetOf({ subsets }, `v${index}`), subsets[index]);
  assert.equal(reads, 1000);
  assert.equal(subsetOf({ subsets }, "v1000"), undefined);
  assert.equal(subsetOf({ subsets }, undefined), undefined);
  assert.equal(subsetOf(undefined, "v1"), undefined);
});
