import assert from "node:assert/strict";
import { test } from "node:test";
import { currentStep, initialStatus, type Step } from "../../decide/index.ts";
import type { DeploymentInWorld } from "./canary-world.ts";
import { by, ids, plan, written } from "./testing/deployment-plan.ts";

test("the copy is scaled by weight or scale step, and fully before it takes all requests", () => {
  const scales = (steps: readonly Step[]): unknown[] =>
    steps.filter(({ id }) => id.endsWith("-scale")).map((step) => [step.id, written(step)]);
  assert.deepEqual(scales(plan({ steps: [{ weight: 25 }, { weight: 50 }] })), [
    ["step-2-scale", 2],
    ["promote-scale", 4],
  ]);
  assert.deepEqual(
    scales(
      plan({
        steps: [{ weight: 10, scale: { percent: 50 } }, { weight: 25, scale: { matchWeight: true } }, { weight: 100 }],
      }),
    ),
    [
      ["step-2-scale", 1],
      ["step-3-scale", 4],
    ],
  );
});

test("a copy with less than its share of pods, because somebody has scaled the Deployment up, grows in the step that lasts", () => {
  const spec = { steps: [{ weight: 25 }, { weight: 50 }] };
  const grown = (copyReplicas: number, more: Partial<DeploymentInWorld> = {}): unknown[] =>
    plan(spec, {}, { replicas: 8, copyReplicas, ...more }).flatMap(({ id, writes }) =>
      writes.flatMap((write) =>
        write.type === "field" && write.object.name === "web-canary" && write.pointer === "/spec/replicas"
          ? [[id, write.value]]
          : [],
      ),
    );
  const scales = [
    ["step-2-scale", 4],
    ["promote-scale", 8],
  ];
  const growing = [
    ["copy", 2],
    ["step-1", 2],
    scales[0],
    ["step-2", 4],
    scales[1],
    ["promote-shift", 8],
    ["promote-roll", 8],
  ];
  assert.deepEqual(grown(1), growing);
  assert.deepEqual(grown(3), growing.slice(2), "a person may have given the copy more");
  assert.deepEqual(grown(8), scales);
  const autoscaler = { metadata: { name: "web" }, spec: {} };
  assert.deepEqual(grown(1, { autoscaler, copyIsAutoscaled: true }), []);
  assert.deepEqual(
    grown(0, { autoscaler, copyIsAutoscaled: true }),
    growing,
    "an autoscaler starts no pods of a copy that a run has found with 0 pods",
  );
  const awaited = (more: Partial<DeploymentInWorld>): unknown =>
    by(plan(spec, {}, { replicas: 8, autoscaler, ...more }), "copy")?.settle.map(
      (condition) => condition.type === "ready" && condition.replicas,
    )[0];
  assert.deepEqual([awaited({}), awaited({ copyReplicas: 1 })], [2, 1], "no request asks its autoscaler for more yet");
  assert.equal(awaited({ copyReplicas: 0 }), 1, "a copy without pods can serve nothing");
});

test("a Deployment that somebody scales in the middle adds no step that the run has passed", () => {
  const spec = { steps: [{ weight: 10 }, { weight: 20 }, { weight: 90 }, { weight: 100 }] };
  const before = plan(spec, {}, { replicas: 5 });
  const at = before.findIndex(({ id }) => id === "step-3");
  const entry = ({ id, title }: Step) => ({ id, title, startedAt: "", endedAt: "", evidence: [] });
  const completedSteps = before.slice(0, at).map(entry);
  assert.deepEqual(
    completedSteps.slice(5).map(({ id }) => id),
    ["step-1", "step-2", "step-3-scale"],
  );
  for (const step of [undefined, { id: "step-3", title: "", startedAt: "", checks: [] }]) {
    const status = { ...initialStatus, run: 1, completedSteps, ...(step === undefined ? {} : { step }) };
    const after = plan(spec, {}, { replicas: 6, copyReplicas: 5 }, status);
    assert.equal(currentStep(after, status)?.id, "step-3", "20 % of 6 pods are 2, and 10 % are 1");
    assert.equal(written(by(after, "step-3")), 6, "the copy gets one more");
  }
});

test("an autoscaled Deployment keeps its autoscaler, and the copy gets its own with a rising minimum", () => {
  const autoscaler = {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: { name: "web" },
    spec: {
      minReplicas: 2,
      maxReplicas: 10,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
      metrics: [],
    },
  };
  const steps = plan({ steps: [{ weight: 25 }, { weight: 100 }] }, {}, { autoscaler });
  assert.deepEqual(written(by(steps, "copy"), 2), {
    minReplicas: 1,
    maxReplicas: 10,
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web-canary" },
    metrics: [],
  });
  const [write] = by(steps, "step-2-scale")?.writes ?? [];
  assert.deepEqual(write?.type === "field" && [write.object.kind, write.pointer, write.value, write.own], [
    "HorizontalPodAutoscaler",
    "/spec/minReplicas",
    4,
    true,
  ]);
});

test("the copy's autoscaler gets bounds that the server accepts, also for a scale of 0 and above its former maximum", () => {
  const autoscaler = { metadata: { name: "web" }, spec: { minReplicas: 2, maxReplicas: 3 } };
  const none = plan({ steps: [{ scale: { replicas: 0 } }, { weight: 100 }] }, {}, { autoscaler });
  const [copy, ofCopy] = [1, 2].map((at) => written(by(none, "copy"), at) as Readonly<Record<string, unknown>>);
  assert.deepEqual([copy?.["replicas"], ofCopy?.["minReplicas"]], [0, 1], "Kubernetes by default refuses 0");
  const spec = { steps: [{ weight: 25 }, { weight: 100 }] };
  const raised = { autoscaler, replicas: 8, copyReplicas: 2, copyIsAutoscaled: true, copyMaxReplicas: 3 };
  const boundsOf = (more: Partial<DeploymentInWorld>): unknown[] =>
    (by(plan(spec, {}, { ...raised, ...more }), "step-2-scale")?.writes ?? []).map(
      (write) => write.type === "field" && [write.pointer, write.value, write.own],
    );
  const minimum = ["/spec/minReplicas", 8, true];
  assert.deepEqual(boundsOf({}), [["/spec/maxReplicas", 8, true], minimum]);
  assert.deepEqual(boundsOf({ copyMaxReplicas: 8 }), [minimum]);
});

test("the copy keeps or lacks its autoscaler, whatever somebody does with the Deployment's in the middle", () => {
  const autoscaler = { metadata: { name: "web" }, spec: {} };
  const spec = { steps: [{ weight: 25 }, { weight: 50 }, { weight: 100 }] };
  const writesOf = (more: Partial<DeploymentInWorld>, id: string): unknown[] => {
    const steps = plan(spec, {}, { replicas: 8, ...more });
    return (by(steps, id)?.writes ?? []).flatMap((write) =>
      write.object.name === "web-canary"
        ? [[write.object.kind, write.type === "field" ? write.value : write.type]]
        : [],
    );
  };
  const deleted = { copyReplicas: 2, copyIsAutoscaled: true };
  assert.deepEqual(writesOf(deleted, "step-2-scale"), [["HorizontalPodAutoscaler", 4]]);
  assert.deepEqual(writesOf(deleted, "promote-end"), [
    ["HorizontalPodAutoscaler", "delete"],
    ["Deployment", "delete"],
  ]);
  const added = { autoscaler, copyReplicas: 2, copyIsAutoscaled: false };
  assert.deepEqual(writesOf(added, "step-2-scale"), [["Deployment", 4]]);
  assert.deepEqual(
    writesOf({ autoscaler, copyReplicas: 0, copyIsAutoscaled: true }, "step-2-scale"),
    [
      ["HorizontalPodAutoscaler", 4],
      ["Deployment", 4],
    ],
    "an autoscaler starts no pods of a Deployment with 0 replicas",
  );
});

test("with dynamicStableScale stable pods leave after the weight has moved, and return before the Deployment rolls", () => {
  const steps = plan({ steps: [{ weight: 50 }, { weight: 100 }], dynamicStableScale: true });
  assert.deepEqual(ids(steps).slice(4), [
    "copy",
    "step-1",
    "step-1-stable",
    "step-2-scale",
    "step-2",
    "step-2-stable",
    "promote-shift",
    "promote-roll",
    "promote-stable",
    "promote-route",
    "promote-end",
  ]);
  assert.deepEqual(
    [written(by(steps, "step-1-stable")), written(by(steps, "step-2-stable")), written(by(steps, "promote-roll"), 1)],
    [2, 1, 4],
  );
});
