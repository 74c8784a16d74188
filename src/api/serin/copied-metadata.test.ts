import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary } from "./canary.ts";

function faults(field: "labels" | "annotations", metadata: Record<string, string>): string[] {
  const { errors } = parseCanary({
    metadata: { name: "web", namespace: "shop" },
    spec: {
      target: { deployment: { name: "web", service: "web", canaryMetadata: { [field]: metadata } } },
      steps: [{ weight: 10 }],
    },
  });
  return errors.map(({ path, message }) => `${path} ${message.split(":")[0]}`);
}

test("a Canary cannot give its pods metadata that a controller acts on", () => {
  for (const key of [
    "sidecar.istio.io/proxyImage",
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
    "sidecar.istio.io/inject",
    "proxy.istio.io/config",
    "inject.istio.io/templates",
    "istio.io/rev",
    "istio.io/dataplane-mode",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "security.istio.io/tlsMode",
    "rollout.serin.dev/copy",
    "serin.dev/ztunnel-rev",
    "container.apparmor.security.beta.kubernetes.io/app",
    "seccomp.security.alpha.kubernetes.io/pod",
    "k8s.v1.cni.cncf.io/networks",
    "vault.hashicorp.com/agent-inject",
    "x/prometheus.io/",
  ])
    for (const field of ["labels", "annotations"] as const)
      assert.deepEqual(
        faults(field, { [key]: "x" }),
        [`spec.target.deployment.canaryMetadata.${field} must not have the key ${key}`],
        key,
      );
});

test("a Canary may give its pods labels and annotations for people and metrics", () => {
  assert.deepEqual(faults("labels", { track: "canary", "app.kubernetes.io/version": "2" }), []);
  assert.deepEqual(
    faults("annotations", { note: "x", "prometheus.io/port": "9090", "sidecar.istio.io/proxyCPU": "10m" }),
    [],
  );
});

test("a value in an injector's template cannot change the template's structure", () => {
  for (const value of ['1"}]\nimage: evil', "{{ .Values }}", "1 2", "a'b"])
    assert.match(faults("annotations", { "sidecar.istio.io/proxyCPU": value }).join(), /must have only letters/);
  assert.deepEqual(faults("annotations", { "sidecar.istio.io/componentLogLevel": "misc:error,http:info" }), []);
});
