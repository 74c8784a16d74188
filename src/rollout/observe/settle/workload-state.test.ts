import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { fieldManager } from "../../../api/serin/field-managers/index.ts";
import type { SettleState } from "../../decide/index.ts";
import { reference } from "../../plan/index.ts";
import { fakePod, fakeView, sidecarPod } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { workloadState } from "./workload-state.ts";

const mark = "new.12345678";
const restarted = { "rollout.serin.dev/restarted-for": mark };
const pilot = fakePod({
  name: "istiod-new",
  namespace: "istio-system",
  labels: { app: "istiod", "istio.io/rev": "new" },
  status: { conditions: [{ type: "Ready", status: "True" }] } as unknown as NonNullable<Pod["status"]>,
});
const injector = {
  metadata: { name: "istio-sidecar-injector-new", labels: { "istio.io/rev": "new" } },
  webhooks: [{ namespaceSelector: { matchExpressions: [{ key: "istio.io/rev", operator: "In", values: ["new"] }] } }],
};

/** The state of the namespace `shop`, which selects the new revision and contains a Deployment `web`. */
async function stateOf(
  pods: readonly Pod[],
  injectors: readonly unknown[],
  budgets: readonly unknown[] = [],
  more: { readonly annotations?: object; readonly replicas?: number } = {},
): Promise<SettleState> {
  const namespace = { metadata: { name: "shop", labels: { "istio.io/rev": "new" } } };
  const web = {
    metadata: { name: "web", namespace: "shop", managedFields: [{ manager: fieldManager, time: "2026-01-01" }] },
    spec: { replicas: more.replicas ?? 1, template: { metadata: { annotations: more.annotations } } },
  };
  const byKey = (objects: Readonly<Record<string, unknown>>): object => ({
    get: (key: string) => objects[key],
    list: () => Object.values(objects),
  });
  const view = Object.assign(fakeView(pods), {
    namespaces: byKey({ shop: namespace }),
    deployments: byKey({ "shop/web": web }),
    statefulSets: byKey({}),
    daemonSets: byKey({}),
    disruptionBudgets: { list: () => budgets },
    injectors: { list: () => injectors },
    recently: async () => await Promise.resolve([]),
  }) as unknown as ClusterView;
  const object = reference("v1", "Namespace", "shop");
  const condition = { type: "workloadRevision", object, revision: "new", mark, withinMs: 60_000 } as const;
  return await workloadState(view, condition, () => 0);
}

test("a pod that a restart created without a sidecar fails the step, and does not count as a pod that never had one", async () => {
  const bare = fakePod({ name: "web-2", workload: "web", annotations: restarted });
  assert.deepEqual(await stateOf([pilot, bare], [injector]), {
    state: "failed",
    detail: "shop: pod web-2 of Deployment web started without a sidecar, because no injector of revision new took it",
  });
  const byLabel = fakePod({ name: "web-2", workload: "web", labels: { "istio.io/rev": "new" } });
  assert.equal((await stateOf([pilot, byLabel], [injector])).state, "failed");
  const others = [
    fakePod({ name: "batch", workload: "batch" }),
    fakePod({ name: "web-3", workload: "web", annotations: restarted, labels: { "sidecar.istio.io/inject": "false" } }),
    fakePod({ name: "far", namespace: "far", workload: "web", annotations: restarted }),
    fakePod({ name: "own", workload: "own", labels: { "istio.io/rev": "new" } }),
  ];
  assert.deepEqual(await stateOf([pilot, ...others], [injector]), { state: "met" });
});

test("without an injector or a control plane no workload is restarted, and the step names the missing part", async () => {
  const old = sidecarPod("web-1", "old", "web");
  assert.deepEqual(await stateOf([pilot, old], []), {
    state: "waiting",
    detail:
      "0 of 1 moved; namespace shop waits for an injector: no MutatingWebhookConfiguration selects namespaces with istio.io/rev=new. Install that revision again",
    left: 1,
    obstacle: {},
  });
  assert.deepEqual(await stateOf([old], [injector]), {
    state: "waiting",
    detail:
      "0 of 1 moved; namespace shop waits for its injector: no control plane of revision new is ready. See kubectl get deployments -A -l app=istiod,istio.io/rev=new",
    left: 1,
    obstacle: {},
  });
  assert.deepEqual(await stateOf([pilot, old], [injector]), {
    state: "waiting",
    detail: "0 of 1 moved; Deployment web is to be restarted",
    left: 1,
  });
});

test("a budget that allows no disruption requires a person", async () => {
  const old = sidecarPod("web-1", "old", "web");
  const budget = {
    metadata: { name: "strict", namespace: "shop" },
    spec: { selector: {} },
    status: { desiredHealthy: 1 },
  };
  assert.deepEqual(await stateOf([pilot, old], [injector], [budget]), {
    state: "waiting",
    detail: "0 of 1 moved; Deployment shop/web waits for PodDisruptionBudget strict, which allows 0 of 0 disruptions",
    left: 1,
    obstacle: { toDo: "let the budget allow it, or scale the workload up, and the upgrade continues" },
  });
});

test("a restarted workload still counts while it has no pods, as with strategy Recreate", async () => {
  assert.deepEqual(await stateOf([pilot], [injector], [], { annotations: restarted }), {
    state: "waiting",
    detail: "0 of 1 moved; Deployment web: 0 of 1 ready",
    left: 1,
    failsInMs: 60_000,
  });
  assert.deepEqual(await stateOf([pilot], [injector], [], { annotations: restarted, replicas: 0 }), { state: "met" });
  assert.deepEqual(await stateOf([pilot], [injector]), { state: "met" });
});
