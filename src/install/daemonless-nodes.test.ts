import assert from "node:assert/strict";
import { test } from "node:test";
import { valueAt } from "../base/index.ts";
import { renderInstall } from "./render.ts";
import { resolveSettings } from "./settings.ts";

/** Returns the affinity of a DaemonSet that the ambient profile installs. */
function affinityOf(name: string, values: object = {}): unknown {
  const { value: settings } = resolveSettings(
    { specs: [{ profile: "ambient", values: values as Record<string, unknown> }] },
    { hub: "h", tag: "9.9.9" },
  );
  assert.ok(settings);
  const { components } = renderInstall(settings, { istio: [], rollout: [] });
  const found = components
    .flatMap(({ objects }) => objects)
    .find(({ kind, metadata }) => kind === "DaemonSet" && metadata.name === name);
  return valueAt(found?.["spec"], "template", "spec", "affinity");
}

test("the pods of every node avoid nodes that run no DaemonSets, unless the values set another affinity", () => {
  const required = (nodeSelectorTerms: readonly unknown[]): object => ({
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
  });
  const matchExpressions = [
    { key: "eks.amazonaws.com/compute-type", operator: "NotIn", values: ["fargate"] },
    { key: "type", operator: "NotIn", values: ["virtual-kubelet"] },
  ];
  const own = required([{ matchExpressions: [{ key: "mesh", operator: "Exists" }] }]);
  for (const [name, component] of [
    ["istio-cni-node", "cni"],
    ["ztunnel", "ztunnel"],
  ] as const) {
    assert.deepEqual(affinityOf(name), required([{ matchExpressions }]));
    assert.deepEqual(affinityOf(name, { [component]: { affinity: own } }), own);
  }
});
