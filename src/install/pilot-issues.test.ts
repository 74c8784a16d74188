import assert from "node:assert/strict";
import { test } from "node:test";
import { renderInstall } from "./render.ts";
import { resolveSettings } from "./settings.ts";

function errorsOf(...setFlags: readonly string[]): readonly string[] {
  const { value, errors } = resolveSettings({ specs: [], setFlags }, { hub: "h", tag: "1.31.0" });
  if (value === undefined) return errors.map(({ path, message }) => `${path}: ${message}`);
  return renderInstall(value, { istio: [], rollout: [] }).errors.map(({ path, message }) => `${path}: ${message}`);
}

test("an installation reports every value that istiod would refuse at its start, at its field", () => {
  assert.deepEqual(errorsOf(), []);
  assert.deepEqual(
    errorsOf(
      "values.pilot.traceSampling=500",
      "values.pilot.env.PILOT_HTTP10=maybe",
      "values.pilot.env.MAX_WORKLOAD_CERT_TTL=long",
      "values.pilot.env.COMPLIANCE_POLICY=none-such",
      "values.pilot.env.PILOT_IGNORE_RESOURCES=gateways",
      "values.pilot.keepaliveMaxServerConnectionAge=1ms",
    ).map((line) => line.split(":", 1)[0]),
    [
      "spec.values.pilot.traceSampling",
      "spec.values.pilot.env.MAX_WORKLOAD_CERT_TTL",
      "spec.values.pilot.env.PILOT_IGNORE_RESOURCES",
      "spec.values.pilot.env.COMPLIANCE_POLICY",
      "spec.values.pilot.env.PILOT_HTTP10",
      "spec.values.pilot.keepaliveMaxServerConnectionAge",
    ],
  );
});

test("the message of a refused value is that of istiod", () => {
  assert.deepEqual(errorsOf("values.pilot.env.PILOT_HTTP10=maybe"), [
    'spec.values.pilot.env.PILOT_HTTP10: PILOT_HTTP10 must be true or false, got "maybe"',
  ]);
});

test("values that Kubernetes fills in and a disabled control plane are not checked", () => {
  assert.deepEqual(errorsOf("values.pilot.env.PILOT_HTTP10=$(OTHER)"), []);
  assert.deepEqual(errorsOf("components.pilot.enabled=false", "values.pilot.env.PILOT_HTTP10=maybe"), []);
});

test("networks that istiod would refuse are refused at their field", () => {
  assert.deepEqual(
    errorsOf("values.global.meshNetworks.net.endpoints=none").map((line) => line.split(":", 1)[0]),
    ["spec.values.global.meshNetworks.net.endpoints"],
  );
});
