import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerStatus, Pod } from "../../api/kubernetes/index.ts";
import { podObstacle } from "./pod-obstacle.ts";

const pod = (status: NonNullable<Pod["status"]>, deletionTimestamp?: string): Pod => ({
  metadata: { name: "web-1", namespace: "shop", ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) },
  status,
});
const waiting = (reason: string, message?: string, more: Partial<ContainerStatus> = {}): Pod =>
  pod({
    containerStatuses: [
      {
        name: "app",
        ready: false,
        restartCount: 0,
        image: "",
        imageID: "",
        state: { waiting: { reason, ...(message === undefined ? {} : { message }) } },
        ...more,
      },
    ],
  });

test("a pod that no node takes because of taints gets a hint about tolerations, and another one about other remedies", () => {
  const hintFor = (message: string): string | undefined =>
    podObstacle([pod({ conditions: [{ type: "PodScheduled", status: "False", reason: "Unschedulable", message }] })])
      ?.hint;
  const tolerations = /TAINTS:\.spec\.taints.*values\.global\.defaultTolerations/;
  assert.match(hintFor("0/2 nodes are available: 2 node(s) had untolerated taint(s).") ?? "", tolerations);
  const named = "0/1 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }.";
  assert.match(hintFor(named) ?? "", tolerations);
  assert.match(hintFor("0/2 nodes are available: 2 Insufficient cpu.") ?? "", /free its resources/);
});

test("the kubelet's own reason is reported, and whether waiting may help", () => {
  const cases: readonly (readonly [Pod, string, boolean])[] = [
    [
      waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
      "pod shop/web-1: container app: CreateContainerConfigError: container has runAsNonRoot and image will run as root",
      true,
    ],
    [
      waiting("ErrImagePull", "manifest unknown"),
      "pod shop/web-1: container app: ErrImagePull: manifest unknown",
      true,
    ],
    [waiting("ContainerCreating"), "pod shop/web-1: container app: ContainerCreating", false],
    [
      pod({
        conditions: [
          { type: "PodScheduled", status: "False", reason: "Unschedulable", message: "0/2 nodes are available" },
        ],
      }),
      "pod shop/web-1: Unschedulable: 0/2 nodes are available",
      true,
    ],
    [
      pod({ phase: "Failed", reason: "Evicted", message: "low on memory" }),
      "pod shop/web-1: Evicted: low on memory",
      true,
    ],
  ];
  const ofNode = waiting("ErrImagePull", "manifest unknown");
  assert.equal(
    podObstacle([{ ...ofNode, spec: { containers: [], nodeName: "n2" } }])?.text,
    "pod shop/web-1 on node n2: container app: ErrImagePull: manifest unknown",
  );
  for (const [given, text, final] of cases) {
    const obstacle = podObstacle([given]);
    assert.deepEqual([obstacle?.text, obstacle?.patienceMs !== undefined], [text, final]);
  }
});

test("a container that crashes repeatedly is an obstacle with a log, and its first crash is not", () => {
  const crashing = (restartCount: number): Pod =>
    waiting("CrashLoopBackOff", "back-off 10s", {
      restartCount,
      lastState: { terminated: { exitCode: 1, reason: "Error" } },
    });
  assert.equal(podObstacle([crashing(1)])?.patienceMs, undefined);
  const obstacle = podObstacle([crashing(3)]);
  assert.equal(
    obstacle?.text,
    "pod shop/web-1: container app: CrashLoopBackOff: back-off 10s: it ended with 1 (Error)",
  );
  assert.notEqual(obstacle?.patienceMs, undefined);
  assert.deepEqual(obstacle?.crashed, { pod: "web-1", container: "app", run: "previous" });
});

test("a container that ended repeatedly counts as crashing, even before the kubelet says CrashLoopBackOff", () => {
  const ended = (restartCount: number, exitCode: number): Pod =>
    pod({
      phase: "Running",
      containerStatuses: [
        {
          name: "app",
          image: "app",
          imageID: "",
          ready: false,
          restartCount,
          state: { terminated: { exitCode, reason: "Error" } },
        },
      ],
    });
  assert.equal(podObstacle([ended(1, 2)])?.patienceMs, undefined);
  const obstacle = podObstacle([ended(5, 2)]);
  assert.equal(obstacle?.text, "pod shop/web-1: container app: it ended with 2 (Error), after 5 restarts");
  assert.notEqual(obstacle?.patienceMs, undefined);
  assert.deepEqual(obstacle?.crashed, { pod: "web-1", container: "app", run: "current" });
  assert.equal(podObstacle([ended(5, 0)]), undefined);
});

test("a container that the kernel ends for its memory has a hint about its limit", () => {
  const ended = { terminated: { exitCode: 137, reason: "OOMKilled" } };
  const found = podObstacle([waiting("CrashLoopBackOff", "back-off 40s", { restartCount: 4, lastState: ended })]);
  assert.match(found?.text ?? "", /it ended with 137 \(OOMKilled\)$/);
  assert.match(found?.hint ?? "", /^The container needs more memory than its limit/);
});

test("ended and running pods are not obstacles, and a permanent obstacle takes precedence over a temporary one", () => {
  const running = pod({ phase: "Running", containerStatuses: [] });
  assert.equal(podObstacle([running]), undefined);
  assert.equal(podObstacle([pod({ phase: "Failed" }, "2026-01-01T00:00:00Z")]), undefined);
  const both = podObstacle([waiting("ContainerCreating"), waiting("InvalidImageName", "bad")]);
  assert.match(both?.text ?? "", /InvalidImageName/);
});

test("a container that the runtime cannot start is reported with the runtime's words, and not with its empty log", () => {
  const message = "failed to create containerd task: unable to start container process: bad seccomp profile\n";
  const terminated = { exitCode: 128, reason: "StartError", message };
  const given = waiting("CrashLoopBackOff", undefined, { restartCount: 5, lastState: { terminated } });
  const { text, hint, patienceMs, crashed } = podObstacle([given]) ?? assert.fail();
  assert.equal(
    text,
    `pod shop/web-1: container app: CrashLoopBackOff: it ended with 128 (StartError): ${message.trim()}`,
  );
  assert.match(hint ?? "", /could not start the container's program/);
  assert.equal(patienceMs, 10_000);
  assert.equal(crashed, undefined);
});

test("if an image cannot be pulled, the hint names the pod's Secrets and their namespace", () => {
  const given = waiting("ErrImagePull", "authorization failed");
  const withSecret = { ...given, spec: { containers: [], imagePullSecrets: [{ name: "pull" }] } };
  const hint = podObstacle([withSecret])?.hint ?? "";
  assert.match(
    hint,
    /^Images are pulled with Secret pull, .* kubectl get secret -n shop pull\. Check the image's name/,
  );
  assert.match(podObstacle([given])?.hint ?? "", /^Check the image's name/);
});
