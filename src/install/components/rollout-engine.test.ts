import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIstioOperator } from "../../api/istio/index.ts";
import { valueAt } from "../../base/index.ts";
import { renderInstall } from "../render.ts";
import { resolveSettings } from "../settings.ts";

test("each workload of an installation has its own name in app.kubernetes.io/name, and so do its pods", () => {
  const spec = { profile: "demo", components: { cni: { enabled: true }, ztunnel: { enabled: true } } };
  const operator = parseIstioOperator({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec });
  const { value: settings } = resolveSettings({ specs: [operator.value?.spec ?? {}] }, { hub: "h", tag: "9.9.9" });
  assert.ok(settings);
  const { components } = renderInstall(settings, { istio: [], rollout: [] });
  const label = "app.kubernetes.io/name";
  const names = components
    .flatMap(({ objects }) => objects)
    .filter(({ kind }) => kind === "Deployment" || kind === "DaemonSet")
    .map(({ metadata, spec: given }) => [
      metadata.name,
      metadata.labels?.[label],
      valueAt(given, "template", "metadata", "labels", label),
    ]);
  assert.deepEqual(
    names,
    [
      ["serin-rollout", "serin-rollout"],
      ["istiod", "istiod"],
      ["istio-cni-node", "istio-cni"],
      ["istio-ingressgateway", "istio-ingressgateway"],
      ["istio-egressgateway", "istio-egressgateway"],
      ["ztunnel", "ztunnel"],
    ].map(([workload, name]) => [workload, name, name]),
  );
});
