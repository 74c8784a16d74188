import assert from "node:assert/strict";
import { test } from "node:test";
import { planMeshUpgrade } from "./mesh-upgrade-plan.ts";
import { fieldOf, gateway, stepOf, upgrade, world } from "./testing/upgrade-world.ts";

test("an east-west gateway, which counts no requests, is judged by probes and rejections alone", () => {
  const checks = [{ type: "request-duration" }, { type: "pod-health" }];
  const gateways = [gateway("front"), gateway("between", { eastWest: true })];
  const steps = planMeshUpgrade(upgrade({ checks, gateways: { weights: [100] } }), { ...world, gateways });
  const checksOf = (name: string): readonly string[] =>
    stepOf(steps, `gateway/istio-system/${name}/100`).checks.map(({ spec }) => spec.type);
  assert.deepEqual(
    checksOf("between"),
    checksOf("front").filter((type) => !type.startsWith("request-")),
  );
  assert.ok(checksOf("front").includes("request-duration"));
  assert.ok(checksOf("between").includes("pod-health"));
});

test("a waypoint gets a canary beside it, then a rising share of the connections, and finally its own pods", () => {
  const steps = planMeshUpgrade(upgrade({ waypoints: { weights: [10, 100] } }), {
    ...world,
    gateways: [
      gateway("way", { waypoint: true, label: "old", deployments: [{ name: "way", replicas: 2, autoscaled: false }] }),
    ],
  });
  assert.deepEqual(
    steps
      .filter(({ id }) => id.startsWith("waypoint/"))
      .map(({ id, writes }) => [id.split("/").at(-1), ...writes.map(fieldOf)]),
    [
      [
        "0",
        'Gateway way rollout.serin.dev/canary-weight="0"',
        'Gateway way rollout.serin.dev/canary-replicas="2"',
        'Gateway way rollout.serin.dev/canary-revision="new"',
      ],
      ["10", 'Gateway way rollout.serin.dev/canary-weight="10"'],
      ["100", 'Gateway way rollout.serin.dev/canary-weight="100"'],
      ["own", 'Gateway way istio.io/rev="new"'],
      [
        "done",
        ...["weight", "replicas", "revision"].map((part) => `Gateway way rollout.serin.dev/canary-${part} absent`),
      ],
    ],
  );
});

test("a gateway's own pods return once its Deployment uses the new control plane", () => {
  const { writes } = stepOf(planMeshUpgrade(upgrade(), world), "gateway/istio-system/front/own");
  assert.deepEqual(
    writes.map((write) => [fieldOf(write), write.type === "field" ? write.after?.value : undefined]),
    [
      ['Gateway front istio.io/rev="new"', undefined],
      ["Deployment front-istio replicas=2", "new"],
    ],
  );
});

test("a waypoint that an earlier upgrade has moved only loses the canary that was left", () => {
  const gateways = [gateway("way", { waypoint: true, label: "new", moved: true })];
  assert.deepEqual(
    planMeshUpgrade(upgrade({ waypoints: { weights: [10, 100] } }), { ...world, gateways })
      .map(({ id }) => id)
      .filter((id) => id.startsWith("waypoint/")),
    ["waypoint/istio-system/way/own", "waypoint/istio-system/way/done"],
  );
});

test("a gateway's canary says how many pods the gateway had, unless an autoscaler decides the number", () => {
  const noted = (autoscaled: boolean): string[] => {
    const deployments = [{ name: "front-istio", replicas: 3, autoscaled }];
    const steps = planMeshUpgrade(upgrade(), { ...world, gateways: [gateway("front", { deployments })] });
    return steps.flatMap(({ writes }) =>
      writes.flatMap((write) => {
        const text = fieldOf(write);
        return text.includes("replicas-before-canary") ? [text.split("/").at(-1) ?? ""] : [];
      }),
    );
  };
  const first = noted(false);
  assert.deepEqual([first[0], first.at(-1)], ['replicas-before-canary="3"', "replicas-before-canary absent"]);
  assert.equal(noted(true)[0], 'replicas-before-canary="0"');
});
