import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../../api/index.ts";
import { canaryOfLabel, type JournalEntry } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { WriteState } from "../../decide/index.ts";
import { reference } from "../../plan/index.ts";
import { fakeView, standingClock } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { EventAges } from "../event-ages.ts";
import { lackedPodsOf } from "./undo-gateways.ts";
import { undoSurroundings } from "./undo-surroundings.ts";
import { askedWriteState } from "../write-state.ts";

test("undo waits at first, but not for ever, for a gateway that lacked its pods before the rollout", async () => {
  const labels = { "gateway.networking.k8s.io/gateway-name": "front" };
  const own = (ready: number): object => ({
    metadata: { name: "front-istio", namespace: "shop", generation: 1, labels },
    spec: { replicas: 2, template: { metadata: {} } },
    status: { observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: ready, availableReplicas: ready },
  });
  const canary = {
    ...own(0),
    metadata: { name: "c", namespace: "shop", labels: { ...labels, [canaryOfLabel]: "front" } },
  };
  const viewOf = (stable: object): ClusterView =>
    Object.assign(fakeView([]), {
      injectors: { list: () => [] },
      namespaces: { list: () => [], get: () => undefined },
      deployments: { list: () => [stable, canary] },
    });
  const object = reference("gateway.networking.k8s.io/v1", "Gateway", "front", "shop");
  const gateway = {
    metadata: { name: "front", namespace: "shop", annotations: { "rollout.serin.dev/canary-revision": "new" } },
  };
  const pointer = "/metadata/annotations/rollout.serin.dev~1canary-revision";
  const stateBefore = async (ready: number, journal: readonly JournalEntry[] = []): Promise<WriteState> =>
    await askedWriteState({} as ObjectAccess, { type: "field", object, pointer, value: "next" }, gateway, {
      step: "s",
      journal,
      lacks: (found, { kind }) => lackedPodsOf(viewOf(own(ready)), found, { ...object, kind }),
    });
  const lackedOf = (state: WriteState): unknown => (state.state === "pending" ? state.lacked : state);
  assert.equal(lackedOf(await stateBefore(2)), undefined);
  assert.equal(lackedOf(await stateBefore(1)), 1);
  const written: JournalEntry = { type: "field", step: "r", object, pointer: "/spec/x", written: "new" };
  assert.equal(lackedOf(await stateBefore(1, [written])), undefined, "the rollout itself may have broken it");

  const heldBack = async (lacked: number, passOver: boolean, current: UntypedObject = gateway, at = pointer) => {
    const clock = standingClock();
    const objects = { get: async () => await Promise.resolve(own(1)) } as unknown as ObjectAccess;
    const sources = { client: {} as KubeClient, objects, view: viewOf(own(1)), clock, ages: new EventAges(clock) };
    const entry = { type: "field", step: "s", object, pointer: at, written: "1", lacked } as const;
    return await undoSurroundings(sources, { entries: [], passOver }).heldBack(entry, current, "1");
  };
  assert.match((await heldBack(1, false)) ?? "", /^Deployment front-istio: 1 of 2 ready/);
  assert.match((await heldBack(0, true)) ?? "", /^Deployment front-istio: 1 of 2 ready/);
  assert.equal(await heldBack(1, true), undefined);
  const leaving = { metadata: { name: "front", namespace: "shop" } };
  const replicas = "/metadata/annotations/rollout.serin.dev~1canary-replicas";
  assert.equal(await heldBack(0, false, leaving, replicas), undefined, "the canary is leaving already");
});

test("a canary that an earlier upgrade has left gets its former pods when the gateway's own Deployment has its", async () => {
  const workload = (name: string, ready: number, labels: Readonly<Record<string, string>> = {}): UntypedObject => ({
    metadata: { name, namespace: "shop", generation: 1, labels },
    spec: { replicas: 2, template: { metadata: {} } },
    status: { observedGeneration: 1, replicas: 2, updatedReplicas: 2, readyReplicas: ready, availableReplicas: ready },
  });
  const heldBack = async (stable: UntypedObject | undefined, passOver = false): Promise<string | undefined> => {
    const clock = standingClock();
    const objects = { get: async () => await Promise.resolve(stable) } as unknown as ObjectAccess;
    const sources = { client: {} as KubeClient, objects, view: fakeView([]), clock, ages: new EventAges(clock) };
    const object = reference("apps/v1", "Deployment", "edge-next", "shop");
    const entry = { type: "field", step: "s", object, pointer: "/spec/replicas", prior: 1, written: 2 } as const;
    const labels = { [canaryOfLabel]: "edge", "operator.istio.io/component": "IngressGateways" };
    return await undoSurroundings(sources, { entries: [], passOver }).heldBack(
      entry,
      workload("edge-next", 2, labels),
      2,
    );
  };
  assert.match((await heldBack(workload("edge", 1))) ?? "", /^Deployment edge: 1 of 2 ready/);
  assert.equal(await heldBack(workload("edge", 1), true), undefined);
  assert.equal(await heldBack(workload("edge", 2)), undefined);
  assert.equal(await heldBack(undefined), undefined);
});
