import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { AgeOfEvent } from "../event-ages.ts";
import { probePodState } from "./probe-start.ts";

const createdMs = Date.parse("2026-06-01T00:00:00Z");

const agesAt =
  (nowMs: number): AgeOfEvent =>
  (_key, atMs) =>
    nowMs - atMs;

function pod(other: {
  readonly labels?: Record<string, string>;
  readonly status?: Pod["status"];
  readonly containers?: readonly string[];
}): Pod {
  const containers = (other.containers ?? ["probe"]).map((name) => ({ name, image: "serin" }));
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "p",
      namespace: "serin-probes",
      creationTimestamp: "2026-06-01T00:00:00Z",
      labels: other.labels ?? {},
    },
    spec: { containers },
    status: { phase: "Pending", ...other.status },
  };
}

test("a ready probe has started, and an unready one may take a while, with an explanation during and after", () => {
  assert.deepEqual(
    probePodState(pod({ status: { conditions: [{ type: "Ready", status: "True" }] } }), "p", agesAt(createdMs)),
    { state: "met" },
  );
  const status = {
    containerStatuses: [
      {
        name: "probe",
        ready: false,
        restartCount: 0,
        state: { waiting: { reason: "ImagePullBackOff", message: "no such image" } },
      },
    ],
  } as unknown as Pod["status"];
  assert.deepEqual(probePodState(pod({ status }), "p", agesAt(createdMs + 20_000)), {
    state: "waiting",
    detail: "probe p is not ready: container probe: ImagePullBackOff: no such image",
  });
  assert.deepEqual(probePodState(pod({ status }), "p", agesAt(createdMs + 120_000)), {
    state: "failed",
    detail: "probe p has made no progress towards its start for 90 s: container probe: ImagePullBackOff: no such image",
  });
});

test("a probe whose image cannot be pulled names its pull Secrets and their namespace", () => {
  const detailOf = (reason: string, imagePullSecrets: { name: string }[]): string => {
    const given = pod({
      status: {
        containerStatuses: [{ name: "probe", ready: false, restartCount: 0, state: { waiting: { reason } } }],
      } as unknown as Pod["status"],
    });
    const { spec } = given;
    assert.ok(spec);
    const state = probePodState({ ...given, spec: { ...spec, imagePullSecrets } }, "p", agesAt(createdMs));
    return "detail" in state ? (state.detail ?? "") : "";
  };
  const secrets = [{ name: "a" }, { name: "b" }];
  for (const reason of ["ErrImagePull", "ImagePullBackOff"])
    assert.equal(
      detailOf(reason, secrets),
      `probe p is not ready: container probe: ${reason}; images are pulled with Secret a, b, which must exist in namespace serin-probes`,
    );
  assert.doesNotMatch(detailOf("ImagePullBackOff", []), /Secret/);
  assert.doesNotMatch(detailOf("ContainerCreating", secrets), /Secret/);
});

test("a probe that crashes, cannot be scheduled or has ended reports so", () => {
  const crashing = {
    containerStatuses: [
      {
        name: "probe",
        ready: false,
        restartCount: 3,
        state: { waiting: { reason: "CrashLoopBackOff" } },
        lastState: { terminated: { exitCode: 2 } },
      },
    ],
  } as unknown as Pod["status"];
  assert.match(
    JSON.stringify(probePodState(pod({ status: crashing }), "p", agesAt(createdMs))),
    /CrashLoopBackOff, ended with 2 before \(3 restarts\)/,
  );
  const unscheduled = {
    conditions: [{ type: "PodScheduled", status: "False", message: "0/3 nodes are available" }],
  } as unknown as Pod["status"];
  assert.match(
    JSON.stringify(probePodState(pod({ status: unscheduled }), "p", agesAt(createdMs))),
    /cannot be scheduled: 0\/3 nodes/,
  );
  assert.deepEqual(probePodState(pod({ status: { phase: "Failed", message: "evicted" } }), "p", agesAt(createdMs)), {
    state: "waiting",
    detail: "probe p has ended (Failed: evicted); the engine recreates it",
  });
});

test("a sidecar's probe without a sidecar fails at once, because no later event will inject it", () => {
  const labels = { "istio.io/rev": "new" };
  const ready = { conditions: [{ type: "Ready", status: "True" }] } as Pod["status"];
  assert.match(
    JSON.stringify(probePodState(pod({ labels, status: ready }), "p", agesAt(createdMs))),
    /"failed".*was not injected: no webhook of revision new/,
  );
  assert.deepEqual(
    probePodState(pod({ labels, status: ready, containers: ["probe", "istio-proxy"] }), "p", agesAt(createdMs)),
    { state: "met" },
  );
});

test("each container of a probe has its own time limit, and a crashed one gets none", () => {
  const minuteMs = 60_000;
  const running = (restartCount: number): Pod["status"] =>
    ({
      initContainerStatuses: [
        {
          name: "istio-proxy",
          ready: false,
          restartCount,
          state: { running: { startedAt: new Date(createdMs + minuteMs).toISOString() } },
        },
      ],
    }) as unknown as Pod["status"];
  const stateAt = (restarts: number, atMs: number): string =>
    probePodState(pod({ status: running(restarts) }), "p", agesAt(createdMs + atMs)).state;
  assert.deepEqual(
    [stateAt(0, 2 * minuteMs), stateAt(0, 3 * minuteMs), stateAt(1, 2 * minuteMs)],
    ["waiting", "failed", "failed"],
  );
});
