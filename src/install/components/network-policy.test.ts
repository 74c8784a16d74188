import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { parseIstioOperator } from "../../api/istio/index.ts";
import { valueAt } from "../../base/index.ts";
import { renderInstall } from "../render.ts";
import { resolveSettings } from "../settings.ts";

function objectsOf(spec: object): readonly UntypedObject[] {
  const operator = parseIstioOperator({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec });
  const { value: settings } = resolveSettings({ specs: [operator.value?.spec ?? {}] }, { hub: "h", tag: "9.9.9" });
  assert.ok(settings);
  return renderInstall(settings, { istio: [], rollout: [] }).components.flatMap(({ objects }) => objects);
}

interface NetworkPolicySpec {
  readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly ingress: readonly [{ readonly ports: readonly { readonly protocol: string; readonly port: number }[] }];
  readonly egress: readonly object[];
}

test("global.networkPolicy.enabled opens each component's ports where other policies deny everything", () => {
  const spec = { profile: "demo", revision: "next", components: { ztunnel: { enabled: true } } };
  const objects = objectsOf({ ...spec, values: { global: { networkPolicy: { enabled: true } } } });
  const policies = objects.filter(({ kind }) => kind === "NetworkPolicy");
  assert.deepEqual(
    Object.fromEntries(
      policies.map(({ metadata, spec: given }) => {
        const { ingress } = given as NetworkPolicySpec;
        return [`${metadata.namespace}/${metadata.name}`, ingress[0].ports.map(({ port }) => port)];
      }),
    ),
    {
      "serin-system/serin-rollout": [15_017, 15_014],
      "istio-system/istiod-next": [8080, 15_010, 15_012, 15_017, 15_014],
      "istio-system/istio-ingressgateway": [15_020, 15_090, 15_021, 8080, 8443, 31_400, 15_443],
      "istio-system/istio-egressgateway": [15_020, 15_021, 15_090, 8080, 8443],
      "istio-system/ztunnel-next": [15_008, 15_020, 15_021],
    },
  );
  for (const { metadata, spec: given } of policies) {
    const { podSelector, egress } = given as NetworkPolicySpec;
    const selected = objects.filter(({ metadata: other, spec: workload }) => {
      const labels = (valueAt(workload, "template", "metadata", "labels") ?? {}) as Record<string, string>;
      const pairs = Object.entries(podSelector.matchLabels);
      return other.namespace === metadata.namespace && pairs.every(([key, value]) => labels[key] === value);
    });
    assert.deepEqual(
      selected.map((one) => one.metadata.name),
      [metadata.name],
    );
    assert.deepEqual(egress, [{}]);
  }
  assert.deepEqual(
    objectsOf(spec).filter(({ kind }) => kind === "NetworkPolicy"),
    [],
  );
});
