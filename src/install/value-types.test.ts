import assert from "node:assert/strict";
import { test } from "node:test";
import { isTree, valueAt } from "../base/index.ts";
import { renderPilot } from "./components/pilot.ts";
import { resolveSettings, resolveSpec, type InstallSettings } from "./settings.ts";

const defaults = { hub: "registry.test", tag: "1.2.3" };

function resolved(values: Readonly<Record<string, unknown>>): ReturnType<typeof resolveSettings> {
  return resolveSettings({ specs: [{ values }] }, defaults);
}

function faults(values: Readonly<Record<string, unknown>>): readonly string[] {
  return resolved(values).errors.map(({ path, message }) => `${path} ${message}`);
}

function istiodObjects(values: Readonly<Record<string, unknown>>, kind: string): readonly unknown[] {
  const settings: InstallSettings = resolved(values).value ?? assert.fail();
  return renderPilot(settings).filter(
    (object) => object.kind === kind && (kind !== "Deployment" || object.metadata.name === "istiod"),
  );
}

test("a number and a boolean in quotes apply as if they had none", () => {
  const scaled = { pilot: { autoscaleMin: "3", autoscaleMax: "7", rollingMaxSurge: "2" } };
  const [scaler] = istiodObjects(scaled, "HorizontalPodAutoscaler");
  assert.deepEqual([valueAt(scaler, "spec", "minReplicas"), valueAt(scaler, "spec", "maxReplicas")], [3, 7]);
  const [pilot] = istiodObjects(scaled, "Deployment");
  assert.equal(valueAt(pilot, "spec", "strategy", "rollingUpdate", "maxSurge"), 2);
  assert.deepEqual(istiodObjects({ pilot: { autoscaleEnabled: "false" } }, "HorizontalPodAutoscaler"), []);
  const spec = resolveSpec({ specs: [{ values: { gateways: { "istio-egressgateway": { autoscaleMin: "2" } } } }] });
  assert.equal(valueAt(spec.value?.values, "gateways", "istio-egressgateway", "autoscaleMin"), 2);
});

test("a value of another type than its key's is refused, so that the default does not apply silently", () => {
  assert.deepEqual(
    faults({
      pilot: {
        autoscaleMin: "two",
        autoscaleMax: "50%",
        replicaCount: true,
        autoscaleEnabled: 0,
        cni: { enabled: "no" },
      },
      global: { configValidation: "maybe", imagePullSecrets: "registry", network: ["a"], proxy: "small" },
      cni: { enabled: "maybe", ambient: { ipv6: 1 }, rollingMaxUnavailable: "some" },
      ztunnel: { terminationGracePeriodSeconds: "soon", resourceQuotas: { enabled: "maybe", pods: -1 } },
      gateways: { "istio-egressgateway": { autoscaleMin: 1.5, nodeSelector: "linux" } },
    }),
    [
      'spec.values.pilot.autoscaleMin must be a whole number from 0 on, got "two"',
      'spec.values.pilot.autoscaleMax must be a whole number from 0 on, got "50%"',
      "spec.values.pilot.replicaCount must be a whole number from 0 on, got true",
      "spec.values.pilot.autoscaleEnabled must be true or false, got 0",
      'spec.values.pilot.cni.enabled must be true or false, got "no"',
      'spec.values.global.configValidation must be true or false, got "maybe"',
      'spec.values.global.imagePullSecrets must be a list, got "registry"',
      'spec.values.global.network must be a string, got ["a"]',
      'spec.values.global.proxy must be an object, got "small"',
      'spec.values.cni.enabled must be true or false, got "maybe"',
      "spec.values.cni.ambient.ipv6 must be true or false, got 1",
      'spec.values.cni.rollingMaxUnavailable must be a whole number or a percentage such as 25%, got "some"',
      'spec.values.ztunnel.terminationGracePeriodSeconds must be a whole number from 0 on, got "soon"',
      'spec.values.ztunnel.resourceQuotas.enabled must be true or false, got "maybe"',
      "spec.values.ztunnel.resourceQuotas.pods must be a whole number from 0 on, got -1",
      "spec.values.gateways.istio-egressgateway.autoscaleMin must be a whole number from 0 on, got 1.5",
      'spec.values.gateways.istio-egressgateway.nodeSelector must be an object, got "linux"',
    ],
  );
  assert.deepEqual(
    faults({
      pilot: { rollingMaxUnavailable: "25%", env: { PILOT_TRACE_SAMPLING: 5 }, resources: { limits: { cpu: 2 } } },
      global: { tag: 1.24, network: null, proxy: { includeInboundPorts: 80 } },
      gateways: { enabled: false },
    }),
    [],
  );
});

test("an empty text stands for the default, and null removes it", () => {
  const empty = {
    pilot: { autoscaleMin: "", replicaCount: "", rollingMaxSurge: "", autoscaleEnabled: "", nodeSelector: "" },
    global: { configValidation: "", imagePullSecrets: "", meshNetworks: "", proxy: { privileged: "" } },
  };
  assert.deepEqual(faults(empty), []);
  assert.deepEqual(resolved(empty).value, resolved({}).value);
  const flag = resolveSettings({ specs: [], setFlags: ["values.pilot.replicaCount="] }, defaults);
  assert.deepEqual([flag.errors, flag.value], [[], resolved({}).value]);
  assert.equal(valueAt(resolved({ global: { network: "" } }).value?.values, "global", "network"), "");
  const proxy = valueAt(resolved({ global: { proxy: { resources: null } } }).value?.values, "global", "proxy");
  assert.ok(isTree(proxy) && "image" in proxy && !("resources" in proxy));
});
