import assert from "node:assert/strict";
import { test } from "node:test";
import { fakePod, fakeView } from "./checks/testing/fake-mesh.ts";
import type { KubeClient } from "../../kube/index.ts";
import { whyNotReady, withKubeletReason } from "./pod-reason.ts";

test("a pod whose containers are ready names its readiness gate, and one without containers waits for its node", () => {
  const message = 'corresponding condition of pod readiness gate "example.com/ready" does not exist or is not "True".';
  const conditions = [{ type: "Ready", status: "False", reason: "ReadinessGatesNotReady", message }];
  const containerStatuses = [{ name: "app", ready: true, restartCount: 0, state: { running: {} } }];
  assert.equal(whyNotReady(fakePod({ name: "web", status: { conditions, containerStatuses } as never })), message);
  assert.equal(whyNotReady(fakePod({ name: "web" })), "its node has not started it");
  const placed = { ...fakePod({ name: "web" }), spec: { containers: [], nodeName: "worker" } };
  assert.equal(whyNotReady(placed), "its node worker has not started it");
});

test("an init container that runs is waited for, and a sidecar or container answers its readiness probe", () => {
  const running = (name: string): object => ({ name, ready: false, restartCount: 0, state: { running: {} } });
  const status = { initContainerStatuses: ["setup", "proxy"].map(running), containerStatuses: [running("app")] };
  const pod = {
    ...fakePod({ name: "web", status: status as never }),
    spec: { containers: [], initContainers: [{ name: "setup" }, { name: "proxy", restartPolicy: "Always" }] } as never,
  };
  assert.equal(
    whyNotReady(pod),
    "container setup: the pod waits for its end; container proxy: does not answer its readiness probe; container app: does not answer its readiness probe",
  );
});

test("a workload whose pod cannot get its volumes waits with the kubelet's warning", async () => {
  const waiting = { name: "app", ready: false, restartCount: 0, state: { waiting: { reason: "ContainerCreating" } } };
  const status = { phase: "Pending", containerStatuses: [waiting] } as never;
  const pod = {
    ...fakePod({ name: "web-1", labels: { app: "web" }, status }),
    spec: { containers: [], nodeName: "n1" },
  };
  const view = fakeView([pod]);
  const workload = {
    metadata: { name: "web", namespace: "shop" },
    spec: { selector: { matchLabels: { app: "web" } } },
  };
  const message = 'MountVolume.SetUp failed for volume "keys" : secret "keys" not found';
  const detailWith = async (events: readonly object[]): Promise<unknown> => {
    const client = { list: () => Promise.resolve({ items: events }) } as unknown as KubeClient;
    const state = { state: "waiting", detail: "Deployment web: 0 of 1 ready" } as const;
    return await withKubeletReason(state, workload, { view, client });
  };
  assert.deepEqual(await detailWith([{ reason: "FailedMount", message }]), {
    state: "waiting",
    detail: `Deployment web: 0 of 1 ready (FailedMount: ${message})`,
  });
  assert.deepEqual(await detailWith([]), {
    state: "waiting",
    detail: "Deployment web: 0 of 1 ready (container app: ContainerCreating)",
  });
});
