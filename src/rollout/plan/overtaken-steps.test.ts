import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade, type RolloutStatus } from "../../api/serin/index.ts";
import { currentStep, initialStatus, type Step } from "../decide/index.ts";
import { reference } from "./references.ts";
import type { MeshWorld } from "./mesh/mesh-world.ts";
import { planMeshUpgrade } from "./mesh/mesh-upgrade-plan.ts";

function world(pods: number, gatewayPods: number): MeshWorld {
  const selector = { matchLabels: { app: "edge" } };
  const template = { metadata: { labels: { app: "edge" } } };
  return {
    installs: [],
    namespaces: [
      {
        name: "shop",
        labels: {},
        labelled: false,
        workloads: [],
        leftToEnd: [],
        ambient: true,
        enrolledPods: Array.from({ length: pods }, (_one, index) => ({
          name: `web-${index}`,
          namespace: "shop",
          node: "node",
          owner: "new",
        })),
      },
    ],
    gateways: [
      {
        name: "front",
        namespace: "shop",
        waypoint: false,
        followsNamespace: false,
        deployments: [{ name: "front-istio", replicas: gatewayPods, autoscaled: true }],
      },
    ],
    classicGateways: [
      {
        namespace: "istio-system",
        deployment: { name: "edge", replicas: gatewayPods, autoscaled: true },
        body: {
          apiVersion: "apps/v1",
          kind: "Deployment",
          metadata: { name: "edge", namespace: "istio-system" },
          spec: { selector, template },
        },
        parts: [],
      },
    ],
    tags: [],
    retirable: [reference("apps/v1", "Deployment", "istiod-old", "istio-system")],
    injectors: [],
    ztunnelNodes: [],
    probeImage: "serin",
    dataPlanes: ["ambient"],
  };
}

function plan(now: MeshWorld, status: RolloutStatus = initialStatus): Step[] {
  const { value } = parseMeshUpgrade({
    metadata: { name: "u", uid: "0123456789" },
    spec: { from: { revision: "old" }, to: { revision: "new" }, gateways: { weights: [10, 50, 100] } },
  });
  assert.ok(value);
  return planMeshUpgrade({ ...value, status }, now);
}

/** The steps that remain if the number of pods changes after the given step, or while it is under way. */
function leftAfter(step: string, before: MeshWorld, after: MeshWorld, isUnderWay = false): string[] {
  const steps = plan(before);
  const at = steps.findIndex(({ id }) => id === step);
  assert.notEqual(at, -1, `${step} is not among ${steps.map(({ id }) => id).join(", ")}`);
  const entry = ({ id, title }: Step) => ({ id, title, startedAt: "", endedAt: "", checks: [] });
  const completedSteps = steps.slice(0, isUnderWay ? at : at + 1).map(entry);
  const current = steps[at];
  const status = {
    ...initialStatus,
    completedSteps,
    ...(isUnderWay && current !== undefined ? { step: entry(current) } : {}),
  } as unknown as RolloutStatus;
  const done = new Set(completedSteps.map(({ id }) => id));
  const found = plan(after, status);
  const left = found.filter(({ id }) => !done.has(id)).map(({ id }) => id);
  assert.equal(currentStep(found, status)?.id, left[0]);
  return left;
}

test("a gateway that an autoscaler changes in the middle does not go back to a smaller weight, or get its canary again", () => {
  for (const gateway of ["gateway/istio-system/edge", "gateway/shop/front"]) {
    for (const [from, to] of [
      [2, 5],
      [5, 2],
    ] as const) {
      const left = leftAfter(`${gateway}/done`, world(1, from), world(1, to));
      assert.deepEqual(
        left.filter((id) => id.startsWith(gateway)),
        [],
        `from ${from} to ${to} pods`,
      );
      assert.equal(leftAfter(`${gateway}/own`, world(1, from), world(1, to), true)[0], `${gateway}/own`);
    }
    assert.deepEqual(
      leftAfter(`${gateway}/50`, world(1, 2), world(1, 5)).filter((id) => id.startsWith(gateway)),
      [`${gateway}/own`, `${gateway}/done`],
    );
    const lost = leftAfter(`${gateway}/50`, world(1, 2), world(1, 0));
    assert.ok(lost.includes(`${gateway}/done`), "the canary of a gateway that lost its pods still leaves");
  }
});

test("the weight under way is judged to its end when an autoscaler gives the next weight the same number of pods", () => {
  for (const gateway of ["gateway/istio-system/edge", "gateway/shop/front"]) {
    const left = leftAfter(`${gateway}/10/pods`, world(1, 10), world(1, 2), true);
    assert.deepEqual(left.slice(0, 3), [`${gateway}/10/pods`, `${gateway}/10`, `${gateway}/50/pods`]);
    assert.equal(leftAfter(`${gateway}/10`, world(1, 10), world(1, 2), true)[0], `${gateway}/10`);
    assert.equal(leftAfter(`${gateway}/10`, world(1, 10), world(1, 2))[0], `${gateway}/50/pods`);
  }
});

/** A step that settled when its gateway had 6 pods, as a plan for 20 pods contains it. */
function settledStep(id: string): Step {
  const step = { id, title: "with 6 pods", startedAt: "", settledAt: "2026-01-01T00:00:00Z", checks: [] };
  const settled = plan(world(1, 20), { ...initialStatus, step }).find((planned) => planned.id === id);
  assert.ok(settled, id);
  return settled;
}

const weightSteps = ["10/pods", "10", "50/pods", "50"].map((step) => `gateway/shop/front/${step}`);

test("a settled step of a gateway notices that somebody takes its canary away, but writes no number of pods", () => {
  const writesOf = (id: string): unknown[] =>
    settledStep(id).writes.map((write) => (write.type === "field" ? write.pointer : write.type));
  for (const id of weightSteps)
    assert.deepEqual(writesOf(id), ["/metadata/annotations/rollout.serin.dev~1canary-revision"], id);
  for (const id of ["10/pods", "10", "50/pods", "50"])
    assert.deepEqual(writesOf(`gateway/istio-system/edge/${id}`), ["create"], id);
});

test("the title of a settled step of a gateway states the numbers that were written", () => {
  for (const id of weightSteps) assert.equal(settledStep(id).title, "with 6 pods", id);
});

test("a gateway without pods does not move", () => {
  assert.deepEqual(
    plan(world(1, 0)).filter(({ id }) => id.startsWith("gateway/")),
    [],
  );
});

test("pods that start after their namespace belongs to the new ztunnel add no batch", () => {
  const left = leftAfter("wave-1/adopt", world(2, 1), world(20, 1));
  assert.deepEqual(
    left.filter((id) => id.startsWith("wave-1/")),
    [],
  );
  const batches = leftAfter("wave-1/ztunnel-1", world(2, 1), world(20, 1)).filter((id) => id.startsWith("wave-1/"));
  assert.ok(batches.length > 3, "pods that start before move in batches of their own");
});

test("nothing moves any more when the old revision is being removed", () => {
  const grown = world(20, 5);
  const shop = grown.namespaces[0];
  assert.ok(shop);
  const more = {
    ...grown,
    namespaces: [shop, { ...shop, name: "stock", injection: { label: "istio.io/rev", value: "old" } }],
  };
  const before = world(2, 2);
  assert.deepEqual(leftAfter("retire", before, more as MeshWorld), ["drain"]);
  assert.deepEqual(leftAfter("drain", before, more as MeshWorld, true), ["drain"]);
  assert.notDeepEqual(
    leftAfter("tags", { ...before, tags: [{ tag: "t", fields: [], objects: [] }] }, more as MeshWorld),
    ["dependents", "retire", "drain"],
  );
});

test("a plan reads the completed steps as often for many gateways as for one", () => {
  const readsOf = (gateways: number): number => {
    let reads = 0;
    const status: RolloutStatus = {
      ...initialStatus,
      get completedSteps() {
        reads += 1;
        return [];
      },
    };
    const { gateways: made, ...rest } = world(1, 2);
    const [front] = made;
    assert.ok(front);
    const many = Array.from({ length: gateways }, (_, index) => ({ ...front, name: `front-${index}` }));
    assert.ok(plan({ ...rest, gateways: many }, status).length > gateways);
    return reads;
  };
  assert.equal(readsOf(20), readsOf(1));
});
