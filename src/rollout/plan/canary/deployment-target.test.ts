import assert from "node:assert/strict";
import { test } from "node:test";
import { by, deployment, ids, plan, template, written } from "./testing/deployment-plan.ts";

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
