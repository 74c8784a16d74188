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
  assert.deepEqual(captureOptionsOf(pod({}), true), { dns: true, bypassInbound: false });
  const annotations = { "ambient.istio.io/dns-capture": "false", "ambient.istio.io/bypass-inbound-capture": "true" };
  assert.deepEqual(captureOptionsOf(pod({ annotations }), true), { dns: false, bypassInbound: true });
  assert.equal(captureOptionsOf(pod({}), false).dns, false);
  const enabled = pod({ annotations: { "ambient.istio.io/dns-capture": "true" } });
  assert.deepEqual([captureOptionsOf(enabled, false).dns, captureOptionsOf(enabled, true).dns], [true, true]);
});

test("a pod's addresses are all its podIPs, or its podIP", () => {
  assert.deepEqual(
    addressesOf(pod({}, { status: { podIP: "10.0.0.1", podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] } })),
    ["10.0.0.1", "fd00::1"],
  );
  assert.deepEqual(addressesOf(pod({}, { status: { podIP: "10.0.0.1" } })), ["10.0.0.1"]);
  assert.deepEqual(addressesOf(pod({})), []);
});
