import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { probeNamespace, probePairs } from "../plan/index.ts";
import { fakePod, fakeView } from "./checks/testing/fake-mesh.ts";
import { probePodFacts } from "./probe-pods.ts";

const pairs = probePairs({ revisions: ["new"], dataPlanes: ["ambient"] });
const startMs = Date.parse("2026-01-01T00:00:00Z");
const at = (seconds: number): string => new Date(startMs + seconds * 1000).toISOString();

interface Life {
  readonly ready?: boolean;
  /** When it became ready or unready, in seconds after the container's start. */
  readonly since?: number;
  readonly restarts?: number;
  readonly isDeleted?: boolean;
  readonly gateway?: string;
  readonly uid?: string;
}

function pod(name: string, { ready = true, since = 1, restarts = 0, isDeleted, gateway, uid = name }: Life = {}): Pod {
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
      phase: "Running",
      conditions: [{ type: "Ready", status: ready ? "True" : "False", lastTransitionTime: at(since) }],
      containerStatuses: [
        {
          name: "probe",
          ready,
          restartCount: restarts,
          image: "",
          imageID: "",
          state: { running: { startedAt: at(0) } },
        },
      ],
    },
  };
}

const client = pod("client-ambient-new");

function facts(pods: readonly Pod[], nowSeconds = 10): ReturnType<typeof probePodFacts> {
  return probePodFacts(fakeView(pods), pairs, (_, atMs) => startMs + nowSeconds * 1000 - atMs);
}

test("the probes of the pairs are named with the uids of their pods, and how long the newest has been ready", () => {
  const seen = facts([client, pod("server-ambient-new", { uid: "s1", since: 3 })]);
  assert.deepEqual(seen, {
    serving: {
      "client-ambient-new": [{ uid: "client-ambient-new", readyAtMs: startMs + 1_000 }],
      "server-ambient-new": [{ uid: "s1", readyAtMs: startMs + 3_000 }],
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
    detail: "probe server-ambient-new runs and is not ready, as after a restart of its kubelet",
    isPause: true,
  });
  const later = facts([client, server], 40);
  assert.deepEqual([later.absent, later.serving["server-ambient-new"]], [undefined, [{ uid: "server-ambient-new" }]]);
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
