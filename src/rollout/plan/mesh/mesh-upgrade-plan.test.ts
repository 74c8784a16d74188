import assert from "node:assert/strict";
import { test } from "node:test";
import type { Write } from "../../decide/index.ts";
import { reference } from "../references.ts";
import type { MeshWorld } from "./mesh-world.ts";
import { planMeshUpgrade } from "./mesh-upgrade-plan.ts";
import { restartGaps } from "./restart-gaps.ts";
import { fieldOf, ids, sidecars, stepOf, upgrade, workload, world } from "./testing/upgrade-world.ts";

test("an upgrade pins, installs, probes, moves pods in growing batches, then gateways, then the tag, and retires last", () => {
  const steps = planMeshUpgrade(upgrade({ soakSeconds: 5 }), world);
  assert.deepEqual(ids(steps), [
    "preflight",
    "pin",
    "install-1",
    "roots",
    "probe",
    "wave-1/ztunnel-1",
    "wave-1/ztunnel-2",
    "wave-1/ztunnel-3",
    "wave-1/adopt",
    ...["front", "back"].flatMap((name) =>
      ["50/pods", "50", "100/pods", "100", "own", "done"].map((part) => `gateway/istio-system/${name}/${part}`),
    ),
    "tags",
    "soak",
    "dependents",
    "retire",
    "drain",
  ]);
});

test("no workload moves before the probe matrix has passed, and every move is judged", () => {
  const steps = planMeshUpgrade(upgrade(), {
    ...world,
    namespaces: [...world.namespaces, sidecars("shop", { workloads: [workload("cart")] })],
  });
  assert.deepEqual(
    stepOf(steps, "probe").checks.map(({ spec }) => spec.type),
    ["mtls-probe-matrix", "xds-nacks"],
  );
  for (const id of ["wave-1/shop", "wave-1/ztunnel-1", "wave-1/ztunnel-2", "wave-1/ztunnel-3"])
    assert.ok(stepOf(steps, id).checks.length > 0, id);
});

test("a wave's own probe matrix replaces that of the spec in all steps of the wave", () => {
  const ofWave = { type: "mtls-probe-matrix", minSamples: 7 };
  const steps = planMeshUpgrade(
    upgrade({ checks: [{ type: "mtls-probe-matrix", minSamples: 9 }], waves: [{ checks: [ofWave], soakSeconds: 5 }] }),
    { ...world, namespaces: [...world.namespaces, sidecars("shop", { workloads: [workload("web")] })] },
  );
  const samplesOf = (id: string): number | undefined =>
    stepOf(steps, id).checks.find(({ spec }) => spec.type === "mtls-probe-matrix")?.spec.minSamples;
  assert.deepEqual(["wave-1/shop", "wave-1/ztunnel-1", "wave-1/end"].map(samplesOf), [7, 7, 7]);
  assert.equal(samplesOf("probe"), 9, "no step of the wave");
});

test("a namespace without workloads gets its label moved without checks", () => {
  const steps = planMeshUpgrade(upgrade({ checks: [{ type: "pod-health" }], waves: [{ soakSeconds: 5 }] }), {
    ...world,
    namespaces: [sidecars("empty", { workloads: [] })],
  });
  assert.deepEqual(stepOf(steps, "wave-1/empty").checks, []);
  assert.deepEqual(stepOf(steps, "wave-1/empty").writes.map(fieldOf), ['Namespace empty istio.io/rev="new"']);
  assert.deepEqual(stepOf(steps, "wave-1/end").checks, []);
});

test("a namespace is labelled first, and then its workloads restart a few at a time", () => {
  const workloads = [
    workload("cart", { state: "moved" }),
    workload("db", { heldBy: "PodDisruptionBudget db" }),
    workload("mail"),
    workload("web"),
  ];
  const planned = (labelled: boolean): string[] =>
    stepOf(
      planMeshUpgrade(upgrade(), { ...world, namespaces: [sidecars("shop", { labelled, workloads })] }),
      "wave-1/shop",
    ).writes.map(fieldOf);
  assert.deepEqual(planned(false), [
    'Namespace shop istio.io/rev="new"',
    'Deployment cart rollout.serin.dev/restarted-for="new.01234567"',
  ]);
  assert.deepEqual(planned(true), [
    ...planned(false),
    'Deployment mail rollout.serin.dev/restarted-for="new.01234567"',
  ]);
});

test("a namespace with istio-injection names the revision before it loses that label", () => {
  const injection = { label: "istio-injection", value: "enabled", tag: "default" } as const;
  const step = stepOf(
    planMeshUpgrade(upgrade(), { ...world, namespaces: [sidecars("shop", { injection })] }),
    "wave-1/shop",
  );
  assert.deepEqual(step.writes.map(fieldOf), [
    'Namespace shop istio.io/rev="new"',
    "Namespace shop istio-injection absent",
  ]);
});

test("the first wave that selects a namespace takes it, and gateways follow the configured wave", () => {
  const namespaces = ["cart", "mail", "web"].map((name) =>
    sidecars(name, { labels: { tier: name === "mail" ? "back" : "front" } }),
  );
  const waves = [
    { name: "canary", namespaces: ["web"] },
    { name: "back", namespaceLabels: { tier: "back" }, soakSeconds: 60 },
    { name: "rest" },
  ];
  const steps = planMeshUpgrade(upgrade({ waves, gateways: { afterWave: 2 }, scope: { tags: false } }), {
    ...world,
    namespaces,
    gateways: world.gateways.slice(0, 1),
  });
  assert.deepEqual(
    ids(steps).filter((id) => id.includes("/")),
    [
      "canary/web",
      "back/mail",
      "back/end",
      ...["50/pods", "50", "100/pods", "100", "own", "done"].map((part) => `gateway/istio-system/front/${part}`),
      "rest/cart",
    ],
  );
});

test("a wave that moves no workload still waits for its approval, and is left out if it has no pause", () => {
  const pause = { untilApproved: true };
  const steps = planMeshUpgrade(
    upgrade({
      waves: [{ name: "typo", namespaces: ["shpo"], pause }, { name: "none", namespaces: ["x"] }, { name: "rest" }],
    }),
    { ...world, namespaces: [sidecars("shop")] },
  );
  assert.deepEqual(stepOf(steps, "typo/end").pause, { approved: false });
  assert.equal(stepOf(steps, "typo/end").title, "typo: nothing to move");
  assert.ok(ids(steps).indexOf("typo/end") < ids(steps).indexOf("rest/shop"));
  assert.ok(!ids(steps).includes("none/end"));
});

test("surging makes every new pod ready before an old one leaves, and restores the strategy at the wave's end", () => {
  const strategy = { type: "Recreate" };
  const namespaces = [sidecars("shop", { labelled: true, workloads: [workload("cart", { strategy })] })];
  const steps = planMeshUpgrade(upgrade({ waves: [{ mode: "ScaleFirst" }] }), { ...world, namespaces });
  assert.match(
    fieldOf(stepOf(steps, "wave-1/shop").writes[1] as Write),
    /^Deployment cart strategy=.*"maxSurge":"100%","maxUnavailable":0/,
  );
  assert.deepEqual(stepOf(steps, "wave-1/end").writes.map(fieldOf), ['Deployment cart strategy={"type":"Recreate"}']);
});

test("an upgrade says which Deployments stop all of their pods when they restart, unless their wave starts new ones first", () => {
  const own = (name: string, strategy: unknown) => workload(name, { strategy });
  const rolling = (maxUnavailable: unknown) => ({ type: "RollingUpdate", rollingUpdate: { maxUnavailable } });
  const workloads = [
    own("cart", { type: "Recreate" }),
    own("pay", rolling("100%")),
    own("web", rolling("25%")),
    own("api", undefined),
  ];
  const shops = { ...world, namespaces: [sidecars("shop", { workloads })] };
  const [gaps = ""] = restartGaps(upgrade(), shops);
  assert.match(
    gaps,
    /requests to them fail: Deployment shop\/cart, Deployment shop\/pay; mode: ScaleFirst of their wave/,
  );
  assert.deepEqual(restartGaps(upgrade({ waves: [{ mode: "ScaleFirst" }] }), shops), []);
  assert.deepEqual(restartGaps(upgrade({ scope: { namespaces: false } }), shops), []);
});

test("single workloads name the new revision themselves, and their namespace only when its other workloads move", () => {
  const workloads = [workload("cart"), workload("web")];
  const object = reference(
    "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration",
    "istio-sidecar-injector-old",
  );
  const injectors = [
    {
      object,
      index: 0,
      objectSelector: {
        matchExpressions: [{ key: "sidecar.istio.io/inject", operator: "NotIn" as const, values: ["false"] }],
      },
    },
  ];
  const waves = [{ name: "one", workloadLabels: { app: "cart" } }, { name: "rest" }];
  const steps = planMeshUpgrade(upgrade({ waves }), {
    ...world,
    injectors,
    namespaces: [sidecars("shop", { workloads })],
  });
  const [made, selector, left] = stepOf(steps, "split-injection").writes;
  assert.deepEqual(made?.object.name, "serin-rollout-new");
  assert.match(fieldOf(selector as Write), /serin-rollout-new namespaceSelector=.*"values":\["shop"\]/);
  assert.match(
    fieldOf(left as Write),
    /istio-sidecar-injector-old objectSelector=.*"istio.io\/rev","operator":"NotIn","values":\["new"\]/,
  );
  assert.deepEqual(stepOf(steps, "one/shop").writes.map(fieldOf), ['Deployment cart istio.io/rev="new"']);
  assert.deepEqual(stepOf(steps, "rest/shop").writes.map(fieldOf), ['Namespace shop istio.io/rev="new"']);
});

test("nodes move one by one if ztunnel moves by node", () => {
  const steps = planMeshUpgrade(upgrade({ ztunnel: { by: "Node" } }), { ...world, gateways: [] });
  assert.deepEqual(
    steps
      .filter(({ id }) => id === "pin" || id.startsWith("ztunnel/"))
      .map(({ id, writes, settle }) => [id, writes.map(fieldOf), settle.length]),
    [
      ["pin", ['Node node-a istio.io/rev="old"', 'Node node-b istio.io/rev="old"'], 0],
      ["ztunnel/node-a", ['Node node-a istio.io/rev="new"'], 1],
      ["ztunnel/node-b", ['Node node-b istio.io/rev="new"'], 1],
    ],
  );
});

test("a new root is trusted, signs, is the only trusted one, and replaces the old one after the old revision is removed", () => {
  const steps = planMeshUpgrade(upgrade({ to: { revision: "old", root: { secretName: "next" } } }), {
    ...world,
    installs: [],
    root: { namespace: "istio-system", fingerprint: "ab12", data: { "ca-key.pem": "a2V5" } },
  });
  assert.deepEqual(ids(steps), [
    "roots",
    "probe",
    "root/trust",
    "root/issue",
    "root/only",
    "probes-leave",
    "root/done",
  ]);
  assert.deepEqual(
    steps.filter(({ id }) => id.startsWith("root/")).map(({ settle }) => settle.map(({ type }) => type)),
    [["rootTrusted"], ["rootInUse"], ["rootInUse", "rootAlone"], ["gone"]],
  );
});

test("a plan of 500 namespaces with 20 workloads each takes milliseconds", () => {
  const namespaces = Array.from({ length: 500 }, (_, index) =>
    sidecars(`ns-${index}`, {
      workloads: Array.from({ length: 20 }, (__, at) => workload(`w-${at}`, { state: "moved" })),
    }),
  );
  const steps = planMeshUpgrade(upgrade({ waves: [{ maxUnavailable: 5 }] }), { ...world, gateways: [], namespaces });
  assert.equal(steps.filter(({ id }) => id.startsWith("wave-1/ns-")).length, 500);
});

test("a step that looks at the probes replaces those that are gone or have ended, and no other step does", () => {
  const complete = planMeshUpgrade(upgrade(), world);
  const addedFor = (lostProbes: NonNullable<MeshWorld["lostProbes"]>): string[] =>
    planMeshUpgrade(upgrade(), { ...world, lostProbes }).flatMap((step, index) => {
      const more = step.writes.slice(complete[index]?.writes.length);
      assert.ok(more.length === 0 || step.checks.some(({ spec }) => spec.type === "mtls-probe-matrix"), step.id);
      return more.map((write) => {
        const force = write.type === "delete" && write.force === true ? ", by force" : "";
        return `${write.type} ${write.object.kind} ${write.object.name}${force}`;
      });
    });
  const looking = complete.filter(({ checks }) => checks.some(({ spec }) => spec.type === "mtls-probe-matrix"));
  const inEach = (what: string, without = 0): string[] => Array.from({ length: looking.length - without }, () => what);
  assert.deepEqual(
    addedFor({ missing: ["client-ambient-old", "unknown"], ended: [], stranded: [] }),
    inEach("create Pod client-ambient-old", 1),
    "all but the step that makes the probes",
  );
  assert.deepEqual(
    addedFor({ missing: [], ended: ["client-ambient-old"], stranded: [] }),
    inEach("delete Pod client-ambient-old"),
    "it is recreated when it is gone",
  );
  assert.deepEqual(
    addedFor({ missing: [], ended: [], stranded: ["client-ambient-old"] }),
    inEach("delete Pod client-ambient-old, by force"),
  );
});

test("a scope without ztunnel leaves ambient pods alone", () => {
  const steps = ids(
    planMeshUpgrade(upgrade({ scope: { ztunnel: false } }), { ...world, gateways: [], dataPlanes: [] }),
  );
  assert.deepEqual(steps, ["preflight", "install-1", "tags", "dependents", "retire", "drain"]);
});
