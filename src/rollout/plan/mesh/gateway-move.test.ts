import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus } from "../../../api/serin/index.ts";
import { reference } from "../references.ts";
import { describeShare, gatewayMoveSteps, sharesOf, type GatewayMove } from "./gateway-move.ts";

const stable = reference("apps/v1", "Deployment", "edge", "shop");
const canary = reference("apps/v1", "Deployment", "edge-next", "shop");
const move: GatewayMove = {
  namespace: "shop",
  name: "edge",
  revision: "next",
  deployment: { name: "edge", replicas: 2, autoscaled: false },
  stable,
  canary,
  podLabels: { app: "edge" },
  canaryLabel: "canary",
  acknowledged: [],
  checks: [
    { spec: { type: "xds-nacks" }, subject: { type: "proxies", revision: "next" } },
    { spec: { type: "request-success-rate" }, subject: { type: "proxies", revision: "next" } },
  ] as unknown as GatewayMove["checks"],
  scaleCanary: (pods) => [{ type: "field", object: canary, pointer: "/spec/replicas", value: pods }],
  takeOver: [],
  deleteCanary: [{ type: "delete", object: canary }],
};

test("a gateway's weight is rounded to whole pods, and the title states the real share", () => {
  const titles = (replicas: number, autoscaled: boolean): string[] =>
    sharesOf([10, 50, 100], { replicas, autoscaled }).map(describeShare);
  assert.deepEqual(titles(1, false), ["50 % (1 of 2 pods)", "100 % (1 of 1 pods)"]);
  assert.deepEqual(titles(4, false), [
    "25 % (1 of 4 pods, the nearest to 10 %)",
    "50 % (2 of 4 pods)",
    "100 % (4 of 4 pods)",
  ]);
  assert.deepEqual(titles(4, true), [
    "20 % (1 of 5 pods, the nearest to 10 %)",
    "33 % (2 of 6 pods, the nearest to 50 %)",
  ]);
});

test("a canary that an earlier upgrade has left keeps its pods, and no stable pod comes back beside it", () => {
  const titles = (stable: number, canary: number, { replicas = stable + canary, autoscaled = false } = {}): string[] =>
    sharesOf([10, 50, 100], { replicas, left: { stable, canary }, autoscaled }).map(describeShare);
  assert.deepEqual(titles(2, 2), ["50 % (2 of 4 pods)", "100 % (4 of 4 pods)"]);
  assert.deepEqual(titles(0, 4), ["100 % (4 of 4 pods)"], "its own Deployment has none");
  assert.deepEqual(titles(4, 2), [
    "33 % (2 of 6 pods, the nearest to 10 %)",
    "50 % (3 of 6 pods)",
    "100 % (6 of 6 pods)",
  ]);
  const [one, four] = [
    ["50 % (1 of 2 pods)", "100 % (1 of 1 pods)"],
    ["25 % (1 of 4 pods, the nearest to 10 %)", "50 % (2 of 4 pods)", "100 % (4 of 4 pods)"],
  ];
  assert.deepEqual(titles(1, 1, { replicas: 1 }), one, "no pod of its own Deployment was removed yet");
  assert.deepEqual(titles(4, 1, { replicas: 4 }), four);
  assert.deepEqual(titles(4, 3, { replicas: 4, autoscaled: true }), ["43 % (3 of 7 pods, the nearest to 50 %)"]);
});

test("each weight starts pods of the canary before it removes stable ones", () => {
  const steps = gatewayMoveSteps(move, [50, 100]);
  assert.deepEqual(
    steps.map(({ id, writes }) => [id, writes.length]),
    [
      ["gateway/shop/edge/50/pods", 1],
      ["gateway/shop/edge/50", 1],
      ["gateway/shop/edge/100/pods", 1],
      ["gateway/shop/edge/100", 1],
      ["gateway/shop/edge/own", 0],
      ["gateway/shop/edge/done", 1],
    ],
  );
  assert.deepEqual(steps[1]?.writes, [{ type: "field", object: stable, pointer: "/spec/replicas", value: 1 }]);
});

test("a weight that starts no pods lists none, and waits until those of the weight before are ready", () => {
  const titles = (replicas: number): string[] =>
    gatewayMoveSteps({ ...move, deployment: { ...move.deployment, replicas } }, [50, 100])
      .filter(({ id }) => id.endsWith("/pods"))
      .map(({ title }) => title);
  assert.deepEqual(titles(1), [
    "gateway shop/edge: 1 pod of next behind the same Service",
    "gateway shop/edge: make sure that 1 pod of next is still ready",
  ]);
  assert.deepEqual(titles(2), [
    "gateway shop/edge: 1 pod of next behind the same Service",
    "gateway shop/edge: 2 pods of next behind the same Service",
  ]);
});

test("a canary that the upgrade has made is recreated in each weight, and no stable pod leaves before all of its pods serve", () => {
  const body = { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "edge-next", namespace: "shop" } };
  const count = (object: typeof canary, value: number): object => ({
    type: "field",
    object,
    pointer: "/spec/replicas",
    value,
  });
  const made = { type: "create", body, object: canary } as const;
  const stepsFor = (readyPods: number) =>
    gatewayMoveSteps(
      { ...move, madeCanary: { readyPods }, scaleCanary: (pods) => [made, ...move.scaleCanary(pods)] },
      [50, 100],
    );
  const writesOf = (readyPods: number): unknown[] => stepsFor(readyPods).map(({ writes }) => writes);
  const [one, two] = [
    [made, count(canary, 1)],
    [made, count(canary, 2)],
  ];
  const rest = [[], [{ type: "delete", object: canary }]];
  assert.deepEqual(writesOf(2), [one, [...one, count(stable, 1)], two, [...two, count(stable, 0)], ...rest]);
  assert.deepEqual(writesOf(1), [one, [...one, count(stable, 1)], two, two, ...rest]);
  assert.deepEqual(writesOf(0), [one, one, two, two, ...rest]);
  assert.deepEqual(stepsFor(0)[3]?.settle[0], { type: "ready", object: canary });
});

test("a weight that an autoscaler makes larger in the middle starts the pods for which it waits", () => {
  const [, weight] = gatewayMoveSteps(
    { ...move, deployment: { ...move.deployment, replicas: 5, autoscaled: true } },
    [50],
  );
  assert.equal(weight?.id, "gateway/shop/edge/50");
  assert.deepEqual(weight.writes, [{ type: "field", object: canary, pointer: "/spec/replicas", value: 3 }]);
  assert.deepEqual(
    weight.settle.flatMap((condition) => (condition.type === "readyPods" ? [condition.atLeast] : [])),
    [3],
  );
});

test("a step of an autoscaled gateway writes no more numbers of pods once it has settled, so that its judging goes on", () => {
  const writesOf = (id: string, step: object, autoscaled = true): unknown[] => {
    const deployment = { ...move.deployment, replicas: 6, autoscaled };
    const status = { completedSteps: [], step: { id, title: "", startedAt: "", checks: [], ...step } };
    const steps = gatewayMoveSteps({ ...move, deployment }, [50], status as unknown as RolloutStatus);
    return steps
      .flatMap((planned) => (planned.id === id ? planned.writes : []))
      .filter((write) => write.type === "field");
  };
  const settledAt = "2026-01-01T00:00:00Z";
  for (const id of ["gateway/shop/edge/50/pods", "gateway/shop/edge/50"]) {
    assert.notDeepEqual(writesOf(id, {}), [], `${id} follows the autoscaler until it has settled`);
    assert.deepEqual(writesOf(id, { settledAt }), [], id);
    assert.notDeepEqual(writesOf(id, { settledAt }, false), [], `${id} follows a person, who changes the number once`);
  }
});

test("a gateway that its owner stops in the middle is not started again, and its canary leaves", () => {
  const stopped = { ...move, deployment: { ...move.deployment, replicas: 0 } };
  const id = "gateway/shop/edge/10";
  const status = { completedSteps: [{ id }] } as unknown as RolloutStatus;
  assert.deepEqual(
    gatewayMoveSteps(stopped, [10, 50, 100], status).map(({ title, writes }) => [title, writes]),
    [
      ["gateway shop/edge belongs to next", []],
      ["gateway shop/edge: delete the canary", [{ type: "delete", object: canary }]],
    ],
  );
});

test("a step that only starts pods is judged by the first check alone", () => {
  const steps = gatewayMoveSteps(move, [50]);
  assert.deepEqual(
    steps.map(({ checks }) => checks.length),
    [1, 2, 2, 0],
  );
});

test("the gateway belongs to the new revision when all its pods without the canary's label are ready", () => {
  const own = gatewayMoveSteps(move, [100]).find(({ id }) => id.endsWith("/own"));
  assert.deepEqual(own?.settle[0], {
    type: "readyPods",
    of: stable,
    namespace: "shop",
    labels: { app: "edge", "istio.io/rev": "next" },
    without: "canary",
    atLeast: 2,
  });
});

test("a gateway that an earlier upgrade has moved only gets its pods, and loses the canary that was left", () => {
  const left = { stable: 0, canary: 2 };
  const moved = { ...move, moved: true, deployment: { ...move.deployment, left } };
  const stopped = { ...moved, deployment: { ...move.deployment, replicas: 0, left: { stable: 0, canary: 0 } } };
  for (const one of [moved, stopped])
    assert.deepEqual(
      gatewayMoveSteps(one, [10, 50, 100]).map(({ id }) => id),
      ["gateway/shop/edge/own", "gateway/shop/edge/done"],
    );
});
