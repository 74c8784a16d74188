import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary, type Canary, type RolloutStatus } from "../../../api/serin/index.ts";
import { currentStep, initialStatus, type Step, type Write } from "../../decide/index.ts";
import { planCanary } from "./canary-plan.ts";
import type { CanaryWorld, DeploymentInWorld } from "./canary-world.ts";

const template = (image: string): Record<string, unknown> => ({
  metadata: { labels: { app: "web" } },
  spec: { containers: [{ name: "web", image }] },
});

const deployment: DeploymentInWorld = {
  object: { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "web", namespace: "shop" },
  uid: "u",
  candidate: "c",
  idle: false,
  labels: { app: "web" },
  replicas: 4,
  selector: { matchLabels: { app: "web" } },
  spec: { minReadySeconds: 1 },
  stableTemplate: template("web:1"),
  stableHash: "old",
  candidateTemplate: template("web:2"),
  service: { ports: [{ name: "http", port: 80 }], selector: { app: "web" } },
};

function plan(
  spec: object,
  target: object = {},
  found: Partial<DeploymentInWorld> = {},
  status?: RolloutStatus,
): Step[] {
  const parsed = parseCanary({
    metadata: { name: "web", namespace: "shop" },
    spec: { target: { deployment: { name: "web", service: "web", ...target } }, ...spec },
  });
  assert.deepEqual(parsed.errors, []);
  const world: CanaryWorld = { routes: [], subjects: [], missingGrants: [], deployment: { ...deployment, ...found } };
  return planCanary({ ...(parsed.value as Canary), ...(status === undefined ? {} : { status }) }, world);
}

function written(step: Step | undefined, at = 0): unknown {
  const write: Write | undefined = step?.writes[at];
  return write?.type === "field" ? write.value : write?.type === "create" ? write.body["spec"] : undefined;
}

const ids = (steps: readonly Step[]): string[] => steps.map(({ id }) => id);
const by = (steps: readonly Step[], id: string): Step | undefined => steps.find((step) => step.id === id);

test("the objects that separate the versions are acknowledged before a canary pod exists, and pods are known before a route leads to them", () => {
  const steps = plan({ steps: [{ weight: 25 }, { weight: 100 }] });
  assert.deepEqual(ids(steps), [
    "settled",
    "hold",
    "subsets",
    "routes",
    "copy",
    "step-1",
    "step-2-scale",
    "step-2",
    "promote-shift",
    "promote-roll",
    "promote-stable",
    "promote-route",
    "promote-end",
  ]);
  assert.deepEqual(written(by(steps, "subsets")), {
    host: "web.shop.svc.cluster.local",
    subsets: [
      { name: "stable", labels: { "pod-template-hash": "old" } },
      { name: "canary", labels: { "rollout.serin.dev/copy": "canary" } },
    ],
  });
  assert.deepEqual(
    by(steps, "subsets")?.settle.map(({ type }) => type),
    ["acknowledged"],
  );
  assert.deepEqual(
    by(steps, "copy")?.settle.map(({ type }) => type),
    ["ready", "endpoints"],
  );
  const route = { host: "web.shop.svc.cluster.local" };
  assert.deepEqual(written(by(steps, "step-1")), [
    {
      name: "canary",
      route: [
        { destination: { ...route, subset: "stable" }, weight: 75 },
        { destination: { ...route, subset: "canary" }, weight: 25 },
      ],
    },
  ]);
});

test("a Deployment whose template already runs has only its setup steps", () => {
  assert.deepEqual(ids(plan({ steps: [{ weight: 100 }] }, {}, { idle: true })), [
    "settled",
    "hold",
    "subsets",
    "routes",
  ]);
});

test("a held Deployment names its Canary, so that the pause is known as the engine's without a journal", () => {
  const mark = "/metadata/annotations/rollout.serin.dev~1held-by";
  const writes = by(plan({ steps: [{ weight: 100 }] }, {}, { idle: true }), "hold")?.writes ?? [];
  assert.deepEqual(
    writes.map((write) => write.type === "field" && [write.pointer, write.value, write.mark]),
    [
      [mark, "web", mark],
      ["/spec/paused", true, mark],
    ],
  );
});

test("undo restores the previous template, and the copy keeps the labels by which policies and budgets select", () => {
  const [adopted, copy] = by(plan({ steps: [{ weight: 25 }] }), "copy")?.writes ?? [];
  assert.deepEqual(adopted?.type === "field" && adopted.adopted, { prior: template("web:1") });
  assert.ok(copy?.type === "create");
  const {
    replicas,
    selector,
    template: pods,
  } = copy.body["spec"] as { replicas: number; selector: object; template: { metadata: { labels: object } } };
  assert.deepEqual([replicas, selector], [1, { matchLabels: { app: "web", "rollout.serin.dev/copy": "canary" } }]);
  assert.deepEqual(pods.metadata.labels, { app: "web", "rollout.serin.dev/copy": "canary" });
});

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

test("the promotion ends with the Deployment's own pods, and its order is safe in reverse too", () => {
  const steps = plan({ steps: [{ weight: 100 }], scaleDownDelaySeconds: 60 }, {}, { candidateHash: "new" });
  assert.equal(by(steps, "promote-shift")?.holdMs, 60_000);
  const [resumed, rolled] = by(steps, "promote-roll")?.writes ?? [];
  assert.deepEqual(
    [resumed?.type === "field" && resumed.pointer, rolled?.type === "field" && rolled.restart],
    ["/spec/paused", "template"],
    "undone in reverse: the template while the Deployment rolls, then it is held",
  );
  assert.deepEqual((written(by(steps, "promote-stable")) as { labels: object }[])[0]?.labels, {
    "pod-template-hash": "new",
  });
  assert.equal(written(by(steps, "promote-stable"), 1), true, "it is held before requests return to its pods");
  assert.deepEqual(
    by(steps, "promote-end")?.writes.map(({ type, object }) => [type, object.name]),
    [
      ["field", "web"],
      ["delete", "web-canary"],
    ],
  );
});

test("blue-green runs the whole canary for the preview Service, and other requests do not move", () => {
  const steps = plan(
    { steps: [{ preview: true, pause: { untilApproved: true } }, { weight: 100 }] },
    { previewService: "web-preview" },
  );
  assert.equal(by(steps, "copy")?.title, "run 4 canary pods: web:2");
  assert.deepEqual(written(by(steps, "routes"), 1), {
    selector: { app: "web", "rollout.serin.dev/copy": "canary" },
    ports: [{ name: "http", port: 80 }],
  });
  assert.deepEqual(written(by(steps, "step-1")), [
    { name: "canary", route: [{ destination: { host: "web.shop.svc.cluster.local", subset: "stable" } }] },
  ]);
});

test("an experiment compares two fresh copies by mirrored requests, and removes them and their routes at its end", () => {
  const steps = plan({
    steps: [
      { experiment: { durationSeconds: 5, mirrorPercent: 20 }, checks: [{ type: "pod-health" }] },
      { weight: 100 },
    ],
  });
  const main = by(steps, "step-1");
  assert.equal(main?.holdMs, 5000);
  const [route] = written(main) as { mirrors: object[] }[];
  const host = "web.shop.svc.cluster.local";
  assert.deepEqual(route?.mirrors, [
    { destination: { host, subset: "experiment-baseline" }, percentage: { value: 20 } },
    { destination: { host, subset: "experiment-canary" }, percentage: { value: 20 } },
  ]);
  assert.deepEqual(
    main?.checks.map(
      ({ subject }) => subject.type === "backends" && [subject.canary.workload, subject.stable.workload],
    )[0],
    ["web-experiment-canary", "web-experiment-baseline"],
  );
  assert.deepEqual(
    by(steps, "step-1-end")
      ?.writes.slice(1)
      .map(({ type, object }) => `${type} ${object.name}`),
    ["delete web-experiment-baseline", "delete web-experiment-canary"],
  );
});

test("an HTTPRoute of a gateway names the TLS port of a Service without HTTP, to which the gateway begins TLS", () => {
  const { selector } = deployment.service;
  const service = { ports: [{ name: "tls", port: 443 }], selector };
  const steps = plan({ steps: [{ weight: 25 }] }, { routes: "HTTPRoute", gateways: ["front"] }, { service });
  const { rules } = written(by(steps, "routes")) as { rules: { backendRefs: { port?: number }[] }[] };
  assert.deepEqual(
    rules[0]?.backendRefs.map(({ port }) => port),
    [443],
  );
});

test("with HTTPRoute each version has its own Service", () => {
  const steps = plan({ steps: [{ weight: 25 }] }, { routes: "HTTPRoute", port: 80 }, { candidateHash: "new" });
  assert.deepEqual(written(by(steps, "subsets")), {
    selector: { app: "web", "pod-template-hash": "old" },
    ports: [{ name: "http", port: 80 }],
  });
  assert.deepEqual(written(by(steps, "step-1")), [
    {
      backendRefs: [
        { name: "web-stable", port: 80, weight: 75 },
        { name: "web-canary", port: 80, weight: 25 },
      ],
    },
  ]);
  assert.equal(written(by(steps, "promote-stable")), "new");
});

test("a user's DestinationRule gets the subsets added, because two rules of one host would not both apply", () => {
  const object = {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    plural: "destinationrules",
    name: "mine",
    namespace: "shop",
  };
  const [write] =
    by(plan({ steps: [{ weight: 25 }] }, {}, { destinationRule: { object, subsets: [{ name: "v1" }] } }), "subsets")
      ?.writes ?? [];
  assert.deepEqual(
    write?.type === "field" && [write.object.name, (write.value as { name: string }[]).map(({ name }) => name)],
    ["mine", ["v1", "stable", "canary"]],
  );
});

test("the ports that no step moves leave the stable pods before these are replaced, and return to the new ones", () => {
  const ports = [
    { name: "http", port: 80 },
    { name: "http-admin", port: 81 },
    { name: "tcp-db", port: 9000 },
  ];
  const steps = plan(
    { steps: [{ weight: 50 }] },
    { port: 80 },
    { service: { ports, selector: { app: "web" } }, candidateHash: "new" },
  );
  const subsetsOf = (id: string): unknown[] =>
    (by(steps, id)?.writes ?? []).flatMap((write) => {
      const list = write.type === "field" && /http|tcp$/.test(write.pointer) ? write.value : [];
      return (list as { name?: string; route: { destination: { subset: string }; weight?: number }[] }[]).map(
        ({ name = "tcp", route }) => [
          name,
          route.filter(({ weight }) => weight !== 0).map(({ destination }) => destination.subset),
        ],
      );
    });
  assert.deepEqual(subsetsOf("step-1"), [
    ["canary", ["stable", "canary"]],
    ["other-ports", ["stable"]],
  ]);
  assert.deepEqual(subsetsOf("promote-shift"), [
    ["canary", ["canary"]],
    ["other-ports", ["canary"]],
    ["tcp", ["canary"]],
  ]);
  assert.deepEqual(subsetsOf("promote-route"), [
    ["canary", ["stable"]],
    ["other-ports", ["stable"]],
    ["tcp", ["stable"]],
  ]);
});
