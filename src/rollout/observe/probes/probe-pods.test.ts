import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, ContainerStatus, Pod } from "../../../api/kubernetes/index.ts";
import { probeNamespace, probePairs } from "../../plan/index.ts";
import { fakePod, fakeView } from "../checks/testing/fake-mesh.ts";
import { probePodFacts } from "./probe-pods.ts";

const pairs = probePairs({ revisions: ["new"], dataPlanes: ["ambient"] });
const startMs = Date.parse("2026-01-01T00:00:00Z");
const at = (seconds: number): string => new Date(startMs + seconds * 1000).toISOString();

interface Life {
  /** When the pod's container last crashed, in seconds after the start of the present container. */
  readonly crashed?: number;
  /** When the pod's native sidecar started and last crashed, in the same seconds. */
  readonly sidecar?: { readonly started: number; readonly crashed?: number };
  readonly phase?: "Running" | "Failed" | "Succeeded";
  readonly ready?: boolean;
  /** When the pod became ready or unready, in seconds after the container's start. */
  readonly since?: number;
  readonly restarts?: number;
  readonly isDeleted?: boolean;
  readonly gateway?: string;
  readonly uid?: string;
}

function lastStateOf(crashed: number | undefined): Pick<ContainerStatus, "lastState"> {
  if (crashed === undefined) return {};
  return { lastState: { terminated: { exitCode: 139, finishedAt: at(crashed) } } };
}

function pod(name: string, life: Life = {}): Pod {
  const { ready = true, since = 1, restarts = 0, isDeleted, gateway, uid = name, crashed, sidecar } = life;
  const { phase = "Running" } = life;
  const labels = gateway === undefined ? {} : { "gateway.networking.k8s.io/gateway-name": gateway };
  const made = fakePod({ name, namespace: probeNamespace, labels });
  return {
    ...made,
    metadata: {
      ...made.metadata,
      uid,
      creationTimestamp: at(-1),
      ...(isDeleted === true ? { deletionTimestamp: at(5) } : {}),
    },
    status: {
      phase,
      conditions: [{ type: "Ready", status: ready ? "True" : "False", lastTransitionTime: at(since) }],
      containerStatuses: [
        {
          name: "probe",
          ready,
          restartCount: restarts,
          image: "",
          imageID: "",
          state: phase === "Running" ? { running: { startedAt: at(0) } } : { terminated: { exitCode: 137 } },
          ...lastStateOf(crashed),
        },
      ],
      ...(sidecar === undefined ? {} : { initContainerStatuses: initStatuses(sidecar) }),
    },
    ...(sidecar === undefined ? {} : { spec: { ...made.spec, containers: [], initContainers } }),
  };
}

const initContainers: Container[] = [
  { name: "istio-validation", image: "" },
  { name: "istio-proxy", image: "", restartPolicy: "Always" },
];

function initStatuses({ started, crashed }: NonNullable<Life["sidecar"]>): ContainerStatus[] {
  const status = { ready: true, image: "", imageID: "", restartCount: crashed === undefined ? 0 : 1 };
  return [
    { ...status, name: "istio-validation", restartCount: 0, state: { terminated: { exitCode: 0 } } },
    { ...status, name: "istio-proxy", state: { running: { startedAt: at(started) } }, ...lastStateOf(crashed) },
  ];
}

const client = pod("client-ambient-new");

function facts(pods: readonly Pod[], nowSeconds = 10): ReturnType<typeof probePodFacts> {
  return probePodFacts(fakeView(pods), pairs, (_, atMs) => startMs + nowSeconds * 1000 - atMs);
}

test("the probes of the pairs are named with the uids of their pods, and how long the newest has been ready", () => {
  const seen = facts([client, pod("server-ambient-new", { uid: "s1", since: 3 })]);
  assert.deepEqual(seen, {
    serving: {
      "client-ambient-new": [{ uid: "client-ambient-new", restarts: 0, readyAtMs: startMs + 1_000 }],
      "server-ambient-new": [{ uid: "s1", restarts: 0, readyAtMs: startMs + 3_000 }],
    },
    readyForMs: 7_000,
  });
});

test("a probe that is deleted, is gone, or has a successor that starts is absent", () => {
  const absent = (...servers: readonly Pod[]): string | undefined => facts([client, ...servers]).absent?.detail;
  assert.match(absent() ?? "", /^probe server-ambient-new was deleted/);
  assert.match(absent(pod("server-ambient-new", { isDeleted: true })) ?? "", /is being deleted/);
  assert.match(absent(pod("server-ambient-new", { ready: false, since: -1 })) ?? "", /is not ready/);
});

test("a probe that runs and is not ready is absent for 30 s, because its kubelet may have been restarted", () => {
  const server = pod("server-ambient-new", { ready: false, since: 4 });
  assert.deepEqual(facts([client, server]).absent, {
    detail: "probe server-ambient-new runs, but is not ready, for example after a restart of its kubelet",
    isPause: true,
  });
  const later = facts([client, server], 40);
  assert.deepEqual(
    [later.absent, later.serving["server-ambient-new"]],
    [undefined, [{ uid: "server-ambient-new", restarts: 0 }]],
  );
});

test("a probe that has crashed, or does not start, is not absent, because the mesh may be the cause", () => {
  const crashed = pod("server-ambient-new", { ready: false, since: -1, restarts: 1 });
  assert.equal(facts([client, crashed]).absent, undefined);
  assert.equal(facts([client, pod("server-ambient-new", { ready: false, since: -1 })], 120).absent, undefined);
});

test("a gateway is absent until one of its pods is ready, and serves by its other pods while one ends", () => {
  const server = pod("server-ambient-new");
  const ending = pod("gateway-1", { gateway: "gateway-new", isDeleted: true });
  const starting = pod("gateway-2", { gateway: "gateway-new", ready: false, since: -1 });
  const ready = pod("gateway-2", { gateway: "gateway-new" });
  assert.match(facts([client, server, ending, starting]).absent?.detail ?? "", /gateway-2 is not ready/);
  const served = facts([client, server, ending, ready]);
  assert.deepEqual([served.absent, served.serving["gateway-new"]?.map(({ uid }) => uid)], [undefined, ["gateway-2"]]);
});

test("a container that was started again in the second in which its pod was no longer ready has crashed", () => {
  const absent = (life: Life) => facts([client, pod("server-ambient-new", { ready: false, ...life })]).absent;
  assert.equal(absent({ since: 0, restarts: 1, crashed: 0 }), undefined);
  assert.equal(absent({ since: 4, restarts: 1, crashed: -1 }), undefined, "it was ready for some seconds");
  assert.equal(absent({ since: 6, restarts: 1, crashed: -1 })?.isPause, true, "it has run on since an earlier crash");
});

test("a native sidecar that crashed is no pause either, and an init container that ended is no crash", () => {
  const seen = (sidecar: NonNullable<Life["sidecar"]>) =>
    facts([client, pod("server-ambient-new", { ready: false, since: 4, sidecar })]);
  assert.equal(seen({ started: 0 }).absent?.isPause, true);
  assert.equal(seen({ started: 5 }).absent, undefined);
  const crashed = seen({ started: 4, crashed: 4 });
  assert.deepEqual([crashed.absent, crashed.serving["server-ambient-new"]?.[0]?.restarts], [undefined, 1]);
});

test("a probe that its node has evicted is absent until its successor is ready, also if it had crashed before", () => {
  const absent = (...servers: readonly Pod[]): unknown => facts([client, ...servers]).absent;
  const text = { detail: "probe server-ambient-new has ended; the engine recreates it", isPause: false };
  for (const phase of ["Failed", "Succeeded"] as const) {
    assert.deepEqual(absent(pod("server-ambient-new", { ready: false, phase })), text);
    assert.deepEqual(absent(pod("server-ambient-new", { ready: false, phase, restarts: 1 })), text);
  }
});

test("a gateway's evicted pod does not hide that its successor does not start", () => {
  const evicted = pod("gateway-1", { gateway: "gateway-new", ready: false, phase: "Failed" });
  const starting = pod("gateway-2", { gateway: "gateway-new", ready: false, since: -1 });
  const seen = (nowSeconds: number) => facts([client, pod("server-ambient-new"), starting, evicted], nowSeconds);
  assert.match(seen(10).absent?.detail ?? "", /gateway-2 is not ready/);
  assert.equal(seen(120).absent, undefined);
});
