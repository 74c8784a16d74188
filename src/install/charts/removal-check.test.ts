import assert from "node:assert/strict";
import { test } from "node:test";
import { valueAt } from "../../base/index.ts";
import { renderInstall } from "../render.ts";
import { resolveSettings } from "../settings.ts";
import { removalCheck } from "./removal-check.ts";

test("the engine's NetworkPolicy also selects the pod that asks the API server before helm removes the engine", () => {
  const values = { global: { networkPolicy: { enabled: true } } };
  const { value: settings } = resolveSettings({ specs: [{ profile: "minimal", values }] }, { hub: "h", tag: "9.9.9" });
  assert.ok(settings);
  const { components } = renderInstall(settings, { istio: [], rollout: [] });
  const ofEngine = components
    .flatMap(({ objects }) => objects)
    .filter(({ metadata }) => metadata.namespace === "serin-system");
  const policy = ofEngine.find(({ kind }) => kind === "NetworkPolicy");
  const selected = Object.entries(valueAt(policy?.["spec"], "podSelector", "matchLabels") ?? {});
  const labels = valueAt(removalCheck(ofEngine)["spec"], "template", "metadata", "labels") as Record<string, string>;
  assert.ok(selected.length > 0);
  assert.deepEqual(
    selected.filter(([key, value]) => labels[key] !== value),
    [],
  );
});
