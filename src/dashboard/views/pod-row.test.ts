import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { trimPod } from "../read/trim.ts";
import { podRow } from "./pod-row.ts";

const statusOf = (name: string, ready: boolean) => ({ name, ready, restartCount: 0, image: "", imageID: "" });

test("a pod's ready containers include sidecars that are init containers, as in kubectl's column READY", () => {
  const pod: Pod = {
    metadata: { name: "web-1", namespace: "shop" },
    spec: {
      containers: [{ name: "web" }],
      initContainers: [{ name: "istio-validation" }, { name: "istio-proxy", restartPolicy: "Always" }],
    },
    status: {
      containerStatuses: [statusOf("web", true)],
      initContainerStatuses: [statusOf("istio-validation", true), statusOf("istio-proxy", false)],
    },
  };
  assert.equal(podRow(trimPod(pod), []).ready, "1/2");
});

test("restarts of an init container count until it has done its work, and those of a sidecar always", () => {
  const ended = (exitCode: number) => ({ state: { terminated: { exitCode } } });
  const restarts = (validation: object): number =>
    podRow(
      trimPod({
        metadata: { name: "web-1", namespace: "shop" },
        spec: {
          containers: [{ name: "web" }],
          initContainers: [{ name: "istio-validation" }, { name: "istio-proxy", restartPolicy: "Always" }],
        },
        status: {
          containerStatuses: [{ ...statusOf("web", true), restartCount: 1 }],
          initContainerStatuses: [
            { ...statusOf("istio-validation", false), restartCount: 10, ...validation },
            { ...statusOf("istio-proxy", true), restartCount: 100, state: { running: {} } },
          ],
        },
      }),
      [],
    ).restarts;
  assert.equal(restarts(ended(0)), 101);
  assert.equal(restarts(ended(1)), 111);
  assert.equal(restarts({ state: { waiting: { reason: "CrashLoopBackOff" } } }), 111);
  assert.equal(restarts({}), 111);
});
