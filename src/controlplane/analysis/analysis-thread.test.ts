import assert from "node:assert/strict";
import { test } from "node:test";
import { destinationRuleKind } from "../../api/istio/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import { podKind } from "../../api/kubernetes/index.ts";
import type { AnalysisOptions } from "../../analyze/index.ts";
import { systemClock } from "../../base/index.ts";
import { config, pod } from "../testing/model-fixture.ts";
import { analysedPart, AnalysisThread, type AnalysedObjects } from "./analysis-thread.ts";

const options: AnalysisOptions = { scope: "cluster", istioNamespace: "istio-system", defaultNamespace: "default" };

function rules(count: number, subset = "v1"): AnalysedObjects {
  const kind = destinationRuleKind;
  return new Map(
    Array.from({ length: count }, (_, index) => {
      const key = `shop/rule-${index}`;
      const object = config("DestinationRule", key, { host: "web", subsets: [{ name: subset, labels: 7 }] });
      return [`networking.istio.io/DestinationRule ${key}`, { kind, object }];
    }),
  );
}

test("all objects are analysed, however many parts they are sent in, and later only the changed ones are sent", async () => {
  const thread = new AnalysisThread(systemClock);
  for (const count of [0, 1, 250, 251, 600])
    assert.equal((await thread.analyze(rules(count), options)).size, count, `${count} rules`);
  const objects = new Map(rules(3));
  assert.equal((await thread.analyze(objects, options)).size, 3);
  objects.delete("networking.istio.io/DestinationRule shop/rule-1");
  const findings = await thread.analyze(objects, options);
  assert.deepEqual(
    [...findings].map(([id, messages]) => [id, messages.map(({ type }) => type.code)]),
    [
      ["networking.istio.io/DestinationRule shop/rule-0", ["IST0106"]],
      ["networking.istio.io/DestinationRule shop/rule-2", ["IST0106"]],
    ],
  );
  await thread.end();
});

test("an analysis that takes too long fails, and the next one starts with an empty thread", async () => {
  const thread = new AnalysisThread(systemClock, { workMs: 1, waitMs: 1 });
  await assert.rejects(thread.analyze(rules(600), options), /the analysis took too long/);
  await assert.rejects(thread.analyze(rules(600), options), /the analysis took too long/);
  await thread.end();
});

test("changes of versions, of written messages and of a pod's conditions start no analysis", () => {
  const rule = (version: string, status: object): KubernetesObject => {
    const object = config("DestinationRule", "shop/web", { host: "web" });
    return { ...object, metadata: { ...object.metadata, resourceVersion: version }, status } as KubernetesObject;
  };
  assert.deepEqual(
    analysedPart(destinationRuleKind, rule("1", {})),
    analysedPart(destinationRuleKind, rule("2", { validationMessages: [{}] })),
  );
  assert.notDeepEqual(
    analysedPart(destinationRuleKind, rule("1", {})),
    analysedPart(destinationRuleKind, rule("1", { conditions: [{}] })),
  );
  const web = (ready: boolean): KubernetesObject => pod("shop/web-1", "10.0.0.1", { account: "web", ready });
  assert.deepEqual(analysedPart(podKind, web(true)), analysedPart(podKind, web(false)));
});
