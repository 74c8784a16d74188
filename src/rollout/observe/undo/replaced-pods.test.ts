import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../../api/index.ts";
import type { Deployment, Pod } from "../../../api/kubernetes/index.ts";
import type { JournalEntry } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import { writeActions } from "../../decide/step-writes.ts";
import type { Step, Write } from "../../decide/index.ts";
import { reference } from "../../plan/index.ts";
import { fakePod, fakeView } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { EventAges } from "../event-ages.ts";
import { stillServes } from "./still-needed.ts";
import { undoSurroundings } from "./undo-surroundings.ts";
import { writeState } from "../write-state.ts";

type FieldEntry = Extract<JournalEntry, { type: "field" }>;

const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
const mark = "/spec/template/metadata/annotations/rollout.serin.dev~1restarted-for";

interface Counts {
  readonly wanted?: number;
  readonly all?: number;
  readonly updated?: number;
  readonly available?: number;
}

function workload(kind: string, { wanted = 3, all = wanted, updated = wanted, available = 0 }: Counts): UntypedObject {
  return {
    kind,
    metadata: { name: "web", namespace: "shop", uid: "u", generation: 2 },
    spec: { replicas: wanted, template: { metadata: { annotations: {} } } },
    status: {
      observedGeneration: 2,
      replicas: all,
      updatedReplicas: updated,
      availableReplicas: available,
      desiredNumberScheduled: wanted,
      updatedNumberScheduled: updated,
      numberAvailable: available,
    },
  };
}

/** The entries that a step journals for a write of this workload. */
function entriesOf(write: Write, found: UntypedObject, journal: readonly JournalEntry[] = []): readonly JournalEntry[] {
  const step: Step = { id: "wave/shop", title: "", writes: [write], settle: [], checks: [] };
  const actions = writeActions(step, [writeState(write, found, step.id, journal)]);
  return actions.flatMap((action) => (action.type === "journal" ? action.entries : []));
}

function restartOf(kind: string): Write {
  return {
    type: "field",
    object: reference("apps/v1", kind, "web", "shop"),
    pointer: mark,
    value: "new.1",
    restart: "template",
  };
}

/** What undo waits for after it has restored the entry's value. */
async function waitsFor(
  { object, lacked }: Pick<FieldEntry, "object" | "lacked">,
  found: UntypedObject,
  restartedAt?: string,
  pods: readonly Pod[] = [],
): Promise<string | undefined> {
  const objects = { get: async () => await Promise.resolve(found) } as unknown as ObjectAccess;
  const sources = { client: {} as KubeClient, objects, view: fakeView(pods), clock, ages: new EventAges(clock) };
  const surroundings = undoSurroundings(sources, { entries: [], passOver: false });
  return (await surroundings.notReplaced(object, restartedAt, lacked))?.detail;
}

test("undo does not wait for pods that a workload lacked before the rollout, but for all others", async () => {
  for (const kind of ["Deployment", "StatefulSet", "DaemonSet"]) {
    const [broken] = entriesOf(restartOf(kind), workload(kind, { available: 0 })) as readonly FieldEntry[];
    assert.equal(broken?.lacked, 3);
    assert.equal(await waitsFor(broken, workload(kind, { available: 0 })), undefined);
    assert.match((await waitsFor(broken, workload(kind, { updated: 1 }))) ?? "", /0 of 3 ready/, "not replaced yet");
    const [partly] = entriesOf(restartOf(kind), workload(kind, { available: 2 })) as readonly FieldEntry[];
    assert.equal(partly?.lacked, 1);
    assert.equal(await waitsFor(partly, workload(kind, { available: 2 })), undefined);
    assert.match((await waitsFor(partly, workload(kind, { available: 1 }))) ?? "", /1 of 3 ready/);
    const [whole] = entriesOf(restartOf(kind), workload(kind, { available: 3 })) as readonly FieldEntry[];
    assert.equal(whole !== undefined && "lacked" in whole, false);
    assert.match((await waitsFor(whole as FieldEntry, workload(kind, { available: 2 }))) ?? "", /2 of 3 ready/);
  }
});

test("a workload that the rollout itself has broken is not taken for one that was broken before", () => {
  const found = workload("Deployment", { available: 0 });
  const strategy = { ...restartOf("Deployment"), pointer: "/spec/strategy", value: {} } as Write;
  const journal = entriesOf(strategy, workload("Deployment", { available: 3 }));
  assert.deepEqual(
    entriesOf(restartOf("Deployment"), found, journal).map((entry) => "lacked" in entry),
    [false],
  );
  const [before] = entriesOf(strategy, workload("Deployment", { available: 1 })) as readonly FieldEntry[];
  const [after] = entriesOf(restartOf("Deployment"), found, [before as FieldEntry]) as readonly FieldEntry[];
  assert.deepEqual([before?.lacked, after?.lacked], [2, 2]);
  // The entry of the preparation may be much older than the run, so its number does not count.
  const [setup] = entriesOf(restartOf("Deployment"), found, [{ ...(before as FieldEntry), setup: true }]);
  assert.equal((setup as FieldEntry).lacked, 3);
});

test("a control plane that was never ready is as good as before when it is made again without a ready pod", async () => {
  const found = workload("Deployment", { available: 0 });
  const object = reference("apps/v1", "Deployment", "web", "shop");
  const [entry] = entriesOf({ type: "delete", object }, found) as Extract<JournalEntry, { type: "deleted" }>[];
  const objects = { get: async () => await Promise.resolve(found) } as unknown as ObjectAccess;
  const sources = { client: {} as KubeClient, objects, view: fakeView([]), clock, ages: new EventAges(clock) };
  const surroundings = undoSurroundings(sources, { entries: [], passOver: false });
  assert.equal(await surroundings.notReady(object, entry?.lacked), undefined);
  assert.match((await surroundings.notReady(object))?.detail ?? "", /0 of 3 ready/);
});

test("requests return to a Deployment when it has as many endpoints as before the rollout", async () => {
  const found = workload("Deployment", { wanted: 2, available: 1 });
  const spec = {
    replicas: 2,
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } } },
  };
  const objects = { get: async () => await Promise.resolve({ ...found, spec }) } as unknown as ObjectAccess;
  const pod = fakePod({ name: "web-1", labels: { app: "web" } });
  const slices = [{ endpoints: [{ conditions: { ready: true }, targetRef: { kind: "Pod", name: "web-1" } }] }];
  const client = {
    list: async ({ kind }: { readonly kind: string }) =>
      await Promise.resolve({
        items:
          kind === "Service" ? [{ metadata: { name: "web" }, spec: { selector: { app: "web" } } }] : slices.slice(1),
      }),
  } as unknown as KubeClient;
  const sources = { client, objects, view: fakeView([pod]), clock, ages: new EventAges(clock) };
  const surroundings = undoSurroundings(sources, { entries: [], passOver: false });
  const object = reference("apps/v1", "Deployment", "web", "shop");
  assert.equal(await surroundings.notReached(object, false, 2), undefined);
  assert.match((await surroundings.notReached(object, false, 1))?.detail ?? "", /0 of 1 pods are endpoints/);
});

test("requests return to a Deployment when the Service that selects its pods by their template hash has them too", async () => {
  const found = workload("Deployment", { wanted: 1, available: 1 });
  const spec = {
    replicas: 1,
    selector: { matchLabels: { app: "web" } },
    template: { metadata: { labels: { app: "web" } } },
  };
  const objects = { get: async () => await Promise.resolve({ ...found, spec }) } as unknown as ObjectAccess;
  const pods = [
    fakePod({ name: "web-1", workload: "web", labels: { app: "web" } }),
    fakePod({ name: "copy-1", workload: "web-canary", labels: { app: "web", "rollout.serin.dev/copy": "canary" } }),
  ];
  const hash = pods[0]?.metadata.labels?.["pod-template-hash"] ?? "";
  const service = (name: string, selector: object): object => ({ metadata: { name }, spec: { selector } });
  const client = {
    list: async ({ kind }: { readonly kind: string }) =>
      await Promise.resolve({
        items:
          kind === "Service"
            ? [
                service("web-stable", { app: "web", "pod-template-hash": hash }),
                service("web-older", { app: "web", "pod-template-hash": "older" }),
                service("web-canary", { app: "web", "rollout.serin.dev/copy": "canary" }),
              ]
            : [],
      }),
  } as unknown as KubeClient;
  const sources = { client, objects, view: fakeView(pods), clock, ages: new EventAges(clock) };
  const surroundings = undoSurroundings(sources, { entries: [], passOver: false });
  const object = reference("apps/v1", "Deployment", "web", "shop");
  assert.equal(
    (await surroundings.notReached(object, false))?.detail,
    "Service shop/web-stable: 0 of 1 pods are endpoints",
  );
});

test("undo does not wait for the unready pods of an Argo Rollout that lacked them, which its controller never restarts", async () => {
  const ofRollout = (name: string, isReady: boolean): Pod => {
    const pod = fakePod({ name, status: { conditions: [{ type: "Ready", status: isReady ? "True" : "False" }] } });
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-1", uid: "u", controller: true };
    const labels = { "rollouts-pod-template-hash": "1" };
    const metadata = { ...pod.metadata, labels, creationTimestamp: "2026-01-01T00:00:00Z", ownerReferences: [owner] };
    return { ...pod, metadata };
  };
  const object = reference("argoproj.io/v1alpha1", "Rollout", "web", "shop");
  const found = workload("Rollout", { wanted: 1 });
  const write: Write = {
    type: "field",
    object,
    pointer: "/spec/restartAt",
    value: "2026-01-01T00:01:00Z",
    restart: "time",
  };
  const [entry] = entriesOf(write, found) as readonly FieldEntry[];
  const at = "2026-01-01T00:05:00Z";
  assert.equal(await waitsFor(entry as FieldEntry, found, at, [ofRollout("web-1-a", false)]), undefined);
  assert.match((await waitsFor(entry as FieldEntry, found, at, [ofRollout("web-1-a", true)])) ?? "", /is from before/);
  assert.match((await waitsFor({ object }, found, at, [ofRollout("web-1-a", false)])) ?? "", /is from before/);
});

test("a control plane does not wait for an unready pod that a broken Deployment keeps of its former template", async () => {
  const pod = (name: string, more: { readonly isReady?: boolean; readonly mark?: string }): Pod =>
    fakePod({
      name,
      workload: "web",
      annotations: {
        "istio.io/rev": "new",
        "sidecar.istio.io/status": "{}",
        ...(more.mark === undefined ? {} : { "rollout.serin.dev/restarted-for": more.mark }),
      },
      status: { conditions: [{ type: "Ready", status: more.isReady === true ? "True" : "False" }] },
    });
  const istiod = { metadata: { name: "istiod-new", labels: { app: "istiod", "istio.io/rev": "new" } } };
  const objects = { get: async () => await Promise.resolve(istiod) } as unknown as ObjectAccess;
  const heldBy = async (found: UntypedObject, ...pods: readonly Pod[]): Promise<unknown> => {
    const injectors = { list: () => [] };
    const view = Object.assign(fakeView(pods, [found as unknown as Deployment]), {
      injectors,
      namespaces: { list: () => [], get: () => undefined },
    }) as unknown as ClusterView;
    const object = reference("apps/v1", "Deployment", "istiod-new", "istio-system");
    return await stillServes({ objects, view, nowMs: 0 }, { type: "created", step: "install", object });
  };
  const restored = workload("Deployment", { wanted: 1, all: 2 });
  assert.equal(await heldBy(restored, pod("web-2", { mark: "new.1" })), undefined);
  const text = /shop\/web-2 still runs at revision new/;
  assert.match(String(await heldBy(restored, pod("web-2", { mark: "new.1", isReady: true }))), text, "it serves");
  assert.match(String(await heldBy(restored, pod("web-2", {}))), text, "it has the present template");
  const replacing = workload("Deployment", { wanted: 1, all: 1, updated: 0 });
  assert.match(String(await heldBy(replacing, pod("web-2", { mark: "new.1" }))), text, "it is being replaced");
});
