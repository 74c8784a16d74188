import assert from "node:assert/strict";
import { test } from "node:test";
import type { Namespace, Pod } from "../api/kubernetes/index.ts";
import { addressesOf, captureOptionsOf, isAmbientPod } from "./ambient-pod.ts";

const ambient: Namespace = { metadata: { name: "default", labels: { "istio.io/dataplane-mode": "ambient" } } };
const plain: Namespace = { metadata: { name: "default" } };

function pod(metadata: Partial<Pod["metadata"]>, rest: Partial<Pod> = {}): Pod {
  return { metadata: { name: "p", namespace: "default", ...metadata }, ...rest };
}

test("a pod's label wins over its namespace's", () => {
  assert.equal(isAmbientPod(pod({}), ambient), true);
  assert.equal(isAmbientPod(pod({}), plain), false);
  assert.equal(isAmbientPod(pod({}), undefined), false);
  assert.equal(isAmbientPod(pod({ labels: { "istio.io/dataplane-mode": "none" } }), ambient), false);
  assert.equal(isAmbientPod(pod({ labels: { "istio.io/dataplane-mode": "ambient" } }), plain), true);
});

test("pods on the host's network, with a sidecar, or finished are not captured", () => {
  assert.equal(isAmbientPod(pod({}, { spec: { containers: [], hostNetwork: true } }), ambient), false);
  assert.equal(isAmbientPod(pod({ annotations: { "sidecar.istio.io/status": "{}" } }), ambient), false);
  assert.equal(isAmbientPod(pod({}, { status: { phase: "Succeeded" } }), ambient), false);
});

test("annotations disable parts of the capture, or enable that of DNS where it is disabled", () => {
  const all = { dns: true, ipv6: true };
  const noDns = { ...all, dns: false };
  assert.deepEqual(captureOptionsOf(pod({}), all), { dns: true, bypassInbound: false, ipv6: true });
  const annotations = { "ambient.istio.io/dns-capture": "false", "ambient.istio.io/bypass-inbound-capture": "true" };
  assert.deepEqual(captureOptionsOf(pod({ annotations }), all), { dns: false, bypassInbound: true, ipv6: true });
  assert.equal(captureOptionsOf(pod({}), noDns).dns, false);
  const enabled = pod({ annotations: { "ambient.istio.io/dns-capture": "true" } });
  assert.deepEqual([captureOptionsOf(enabled, noDns).dns, captureOptionsOf(enabled, all).dns], [true, true]);
});

test("a pod's addresses are all its podIPs, or its podIP", () => {
  assert.deepEqual(
    addressesOf(pod({}, { status: { podIP: "10.0.0.1", podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] } })),
    ["10.0.0.1", "fd00::1"],
  );
  assert.deepEqual(addressesOf(pod({}, { status: { podIP: "10.0.0.1" } })), ["10.0.0.1"]);
  assert.deepEqual(addressesOf(pod({})), []);
});
