import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../../kube/index.ts";
import { reference } from "../../plan/index.ts";
import { fakePod, fakeView, gatewayPod } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { dependentState, ownerState, podsGoneState } from "./pod-conditions.ts";

test("a pod that waits for another ztunnel names its node, because a lost node never changes it", () => {
  const pod = fakePod({ name: "web", annotations: { "serin.dev/ztunnel-owner": "old" } });
  const placed = { ...pod, spec: { containers: [], nodeName: "worker" } };
  const detailOf = (revision: string): unknown =>
    ownerState(fakeView([placed]), reference("v1", "Pod", "web", "shop"), revision);
  assert.deepEqual(detailOf("new"), {
    state: "waiting",
    detail: "shop/web is owned by old (the CNI agent of its node changes that: kubectl get node worker)",
  });
  assert.deepEqual(detailOf("old"), { state: "met" });
});

test("pods that stay are an obstacle for a person where the step says what to do", async () => {
  const pod = fakePod({ name: "istiod-old-7c9", namespace: "istio-system", labels: { app: "istiod" } });
  const obstacleOf = async (toDo: object): Promise<unknown> => {
    const labels = { app: "istiod" };
    const state = await podsGoneState(fakeView([pod]), { namespace: "istio-system", labels, ...toDo }, 0);
    return state.state === "waiting" ? state.obstacle : state.state;
  };
  assert.deepEqual(await obstacleOf({ toDo: "look" }), { toDo: "look" });
  assert.equal(await obstacleOf({}), undefined);
});

test("a ztunnel that a lost node keeps Terminating does not keep an upgrade from ending, but one that drains does", async () => {
  const pod = fakePod({
    name: "ztunnel-old-x",
    namespace: "istio-system",
    labels: { app: "ztunnel" },
    status: { podIP: "" },
  });
  const endsAt = "2026-01-01T00:10:00Z";
  const ending = { ...pod, metadata: { ...pod.metadata, deletionTimestamp: endsAt } };
  const stateAt = async (sinceEndMs: number, more: object = {}): Promise<string> => {
    const condition = { namespace: "istio-system", labels: { app: "ztunnel" }, ...more };
    return (await podsGoneState(fakeView([ending]), condition, Date.parse(endsAt) + sinceEndMs)).state;
  };
  assert.equal(await stateAt(-1), "waiting");
  assert.equal(await stateAt(60_000), "waiting", "its node may be slow");
  assert.equal(await stateAt(60_001), "met");
  assert.equal(await stateAt(60_001, { toDo: "delete it" }), "waiting", "a person is asked");
});

test("a proxy whose pod is ending holds a revision back, but no person is asked to move it", async () => {
  const pilot = fakePod({
    name: "istiod-old-7c9",
    namespace: "istio-system",
    labels: { app: "istiod", "istio.io/rev": "old" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const leaving = gatewayPod("front-1");
  const endsBy = "2026-01-01T00:01:00Z";
  const detailOf = async (...connected: readonly string[]): Promise<unknown> => {
    const pods = [pilot, { ...leaving, metadata: { ...leaving.metadata, deletionTimestamp: endsBy } }];
    const proxies = connected.map((name) => ({ id: `${name}.shop`, type: "router", namespace: "shop" }));
    const view = Object.assign(fakeView(pods), {
      namespaces: { list: () => [], get: () => undefined },
      recently: async () => await Promise.resolve(proxies),
    }) as unknown as ClusterView;
    const client = { list: async () => await Promise.resolve({ items: [] }) } as unknown as KubeClient;
    return await dependentState(client, view, { type: "noDependents", revision: "old", to: "new" });
  };
  const ending = `still ending: proxy front-1.shop, by ${endsBy} at the latest`;
  const asked =
    "1 still depends on old, and no step moves it, so a person must: proxy vm-1.shop: connect it to the control plane of new, or end it";
  assert.deepEqual(await detailOf("front-1"), { state: "waiting", detail: ending });
  assert.deepEqual(await detailOf("front-1", "vm-1"), { state: "waiting", detail: `${asked}; ${ending}` });
  assert.deepEqual(await detailOf(), { state: "met" });
});

test("whoever leaves a part of the mesh to the old revision may keep it, and is not told that a person must move its tag", async () => {
  const tag = { metadata: { name: "t", labels: { "istio.io/tag": "default", "istio.io/rev": "old" } } };
  const client = {
    list: async ({ kind }: { readonly kind: string }) =>
      await Promise.resolve({ items: kind === "MutatingWebhookConfiguration" ? [tag] : [] }),
  } as unknown as KubeClient;
  const view = Object.assign(fakeView([]), { namespaces: { list: () => [], get: () => undefined } });
  const detailOf = async (mayStay?: boolean): Promise<unknown> => {
    const condition = {
      type: "noDependents",
      revision: "old",
      to: "new",
      ...(mayStay === undefined ? {} : { mayStay }),
    };
    return await dependentState(client, view, condition as never);
  };
  const command = "tag default: serin tag set default --revision new --overwrite";
  assert.deepEqual(await detailOf(true), {
    state: "waiting",
    detail: `1 still depends on old, and no step moves it. Leave the upgrade at this step to keep old. To retire it, a person must move it: ${command}`,
  });
  assert.deepEqual(await detailOf(), {
    state: "waiting",
    detail: `1 still depends on old, and no step moves it, so a person must: ${command}`,
  });
});
