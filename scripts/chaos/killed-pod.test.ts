import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Pod } from "../../src/api/kubernetes/index.ts";
import { podOfEnvironment, recovery } from "./killed-pod.ts";

const before = { uid: "uid", restarts: 1, listed: "10.244.1.5" };

function pod(restartCount: number, isReady: boolean, uid = "uid"): Pod {
  const container = { name: "istio-proxy", ready: isReady, restartCount, image: "", imageID: "" };
  return {
    metadata: { name: "gateway", uid },
    status: {
      conditions: [{ type: "Ready", status: isReady ? "True" : "False" }],
      containerStatuses: [container],
    },
  };
}

function slice(ready: boolean): EndpointSlice {
  const endpoints = [
    { addresses: ["10.244.1.5"], conditions: { ready } },
    { addresses: ["10.244.2.5"], conditions: { ready: true } },
  ];
  return { metadata: { name: "gateway-1" }, addressType: "IPv4", endpoints, ports: [] };
}

test("a killed gateway gets connections until its Service's slices leave it out", () => {
  assert.equal(recovery(before, pod(1, true), [slice(true)]), undefined);
  assert.equal(recovery(before, pod(1, false), [slice(true)]), undefined, "nodes follow the slices, not the pod");
  assert.equal(recovery(before, pod(2, false), [slice(true)]), undefined);
  assert.equal(recovery(before, pod(2, false), [slice(false)]), "gets no new connections");
});

test("a killed pod serves again when its next run is ready", () => {
  assert.equal(recovery(before, pod(2, true), [slice(true)]), "is ready again");
  const ztunnel = { ...before, listed: undefined };
  assert.equal(recovery(ztunnel, pod(1, true), []), undefined, "its status is the one from before the kill");
  assert.equal(recovery(ztunnel, pod(2, false), []), undefined);
  assert.equal(recovery(ztunnel, pod(2, true), []), "is ready again");
});

test("a killed pod that a rollout has replaced is gone", () => {
  assert.equal(recovery(before, undefined, [slice(true)]), "is gone");
  assert.equal(recovery(before, pod(0, true, "other"), [slice(true)]), "is gone");
});

test("the environment of a process names its pod", () => {
  const environment = "PATH=/bin\0POD_NAME=gateway-1\0POD_NAMESPACE=istio-system\0";
  assert.deepEqual(podOfEnvironment(environment), { name: "gateway-1", namespace: "istio-system" });
  assert.equal(podOfEnvironment("PATH=/bin\0POD_NAME=gateway-1\0"), undefined);
});
