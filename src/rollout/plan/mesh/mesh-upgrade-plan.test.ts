import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade, type MeshUpgrade } from "../../../api/serin/index.ts";
import type { Step, Write } from "../../decide/index.ts";
import { reference } from "../references.ts";
import type { GatewayInWorld, MeshWorld, NamespaceInWorld, WorkloadInWorld } from "./mesh-world.ts";
import { planMeshUpgrade } from "./mesh-upgrade-plan.ts";
import { restartGaps } from "./restart-gaps.ts";

function workload(name: string, more: Partial<WorkloadInWorld> = {}): WorkloadInWorld {
  return {
    object: reference("apps/v1", "Deployment", name, "shop"),
    labels: { app: name },
    byPodLabel: false,
    state: "waiting",
    ...more,
  };
}

function sidecars(name: string, more: Partial<NamespaceInWorld> = {}): NamespaceInWorld {
  return {
    name,
    labels: { "istio.io/rev": "old" },
    injection: { label: "istio.io/rev", value: "old" },
    labelled: false,
    workloads: [],
    leftToEnd: [],
    ambient: false,
    enrolledPods: [],
    ...more,
  };
}

function ambient(name: string, pods: readonly string[]): NamespaceInWorld {
  return {
    name,
    labels: {},
    labelled: false,
    workloads: [],
    leftToEnd: [],
    ambient: true,
    enrolledPods: pods.map((pod) => ({ name: pod, namespace: name, node: `node-${pod}`, owner: "old" })),
  };
}

function gateway(name: string, more: Partial<GatewayInWorld> = {}): GatewayInWorld {
  return {
    name,
    namespace: "istio-system",
    waypoint: false,
    followsNamespace: false,
    deployments: [{ name: `${name}-istio`, replicas: 1, autoscaled: false }],
    ...more,
  };
}

const world: MeshWorld = {
  installs: [
    [{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "istiod-new", namespace: "istio-system" } }],
  ],
  namespaces: [ambient("stock", ["a", "b", "c", "d"])],
  gateways: [
    gateway("front", { deployments: [{ name: "front-istio", replicas: 2, autoscaled: false }] }),
    gateway("back", { label: "old" }),
  ],
  classicGateways: [],
  tags: [
    {
      tag: "default",
      fields: [
        {
          object: reference(
            "admissionregistration.k8s.io/v1",
            "MutatingWebhookConfiguration",
            "istio-revision-tag-default",
          ),
          pointer: "/webhooks/0/clientConfig/service/name",
          value: "istiod-new",
        },
      ],
      objects: [],
    },
  ],
  retirable: [
    { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "istiod-old", namespace: "istio-system" },
  ],
  injectors: [],
  ztunnelNodes: ["node-a", "node-b"],
  probeImage: "docker.io/istio/serin:2.0.0",
  dataPlanes: ["ambient"],
};

function upgrade(more: object = {}): MeshUpgrade {
  const parsed = parseMeshUpgrade({
    metadata: { name: "u", uid: "0123456789" },
    spec: { from: { revision: "old" }, to: { revision: "new", install: [{ revision: "new" }] }, ...more },
  });
  assert.deepEqual(parsed.errors, []);
  assert.ok(parsed.value);
  return parsed.value;
}

const ids = (steps: readonly Step[]): string[] => steps.map(({ id }) => id);

function stepOf(steps: readonly Step[], id: string): Step {
  const found = steps.find((step) => step.id === id);
  assert.ok(found, `${id} is not among ${ids(steps).join(", ")}`);
  return found;
}

/** Describes a write, such as `Namespace shop istio.io/rev=new`. */
function fieldOf(write: Write): string {
  if (write.type !== "field") return `${write.type} ${write.object.kind} ${write.object.name}`;
  const field = write.pointer.split("/").at(-1)?.replaceAll("~1", "/") ?? "";
  return `${write.object.kind} ${write.object.name} ${field}${write.value === undefined ? " absent" : `=${JSON.stringify(write.value)}`}`;
}

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

test("parts that an operator installed are retired in the operator's object, because the operator would restore them", () => {
  const operator = reference("install.istio.io/v1alpha1", "IstioOperator", "mesh", "istio-system");
  const banzai = reference("istio.banzaicloud.io/v1beta1", "Istio", "sample", "istio-system");
  const owners = [{ object: operator, components: ["pilot", "ztunnel"] as const }, { object: banzai }];
  const { writes } = stepOf(planMeshUpgrade(upgrade(), { ...world, owners, retirable: [] }), "retire");
  assert.deepEqual(
    writes.map((write) =>
      write.type === "field"
        ? `${write.object.kind} ${write.pointer} = ${JSON.stringify(write.value)}`
        : `${write.type} ${write.object.kind} ${write.object.name}`,
    ),
    [
      "delete Namespace serin-probes",
      "IstioOperator /spec/components/pilot/enabled = false",
      "IstioOperator /spec/components/ztunnel/enabled = false",
      "delete Istio sample",
    ],
  );
});

test("an old istiod that stays does not take back the upgrade: the step says whose operator or which pods to look at", () => {
  const toDo = (owners: MeshWorld["owners"] & object): string => {
    const [condition] = stepOf(planMeshUpgrade(upgrade(), { ...world, owners }), "retire").settle;
    return condition?.type === "podsGone" ? (condition.toDo ?? "") : "";
  };
  const operator = reference("install.istio.io/v1alpha1", "IstioOperator", "mesh", "istio-system");
  assert.match(
    toDo([{ object: operator, components: ["pilot"] }]),
    /operator of IstioOperator istio-system\/mesh runs/,
  );
  assert.match(toDo([]), /kubectl get pods -A -l app=istiod,istio\.io\/rev=old; on a node that is lost/);
});

test("the old control plane keeps its rights until its pods have ended, so that it can give up its leases", () => {
  const rights = [
    reference("v1", "ServiceAccount", "istiod-old", "istio-system"),
    reference("rbac.authorization.k8s.io/v1", "Role", "istiod-old", "istio-system"),
  ];
  const steps = planMeshUpgrade(upgrade(), { ...world, retirable: [...rights, ...world.retirable] });
  assert.deepEqual(ids(steps).slice(-3), ["retire", "rights", "drain"]);
  assert.deepEqual(stepOf(steps, "retire").writes.map(fieldOf).slice(-1), ["delete Deployment istiod-old"]);
  assert.deepEqual(
    stepOf(steps, "retire").settle.map(({ type }) => type),
    ["podsGone"],
  );
  assert.deepEqual(stepOf(steps, "rights").writes.map(fieldOf), [
    "delete ServiceAccount istiod-old",
    "delete Role istiod-old",
  ]);
});

test("a tag's Service that cannot lead to the new namespace is deleted with the old revision, and not before", () => {
  const left = [reference("v1", "Service", "istiod-revision-tag-default", "istio-system")];
  const steps = planMeshUpgrade(upgrade(), { ...world, tags: world.tags.map((tag) => ({ ...tag, left })) });
  const deleting = steps.filter(({ writes }) =>
    writes.some(({ type, object }) => type === "delete" && object.name === "istiod-revision-tag-default"),
  );
  assert.deepEqual(ids(deleting), ["retire"]);
});

test("a retirement waits for the pods of the old revision in whatever namespace they run", () => {
  const steps = planMeshUpgrade(upgrade(), { ...world, retiredFrom: ["mesh-control", "istio-system"] });
  const waitsFor = (id: string): unknown[] =>
    stepOf(steps, id).settle.map((condition) =>
      condition.type === "podsGone" ? [condition.namespace, condition.labels] : condition.type,
    );
  for (const [id, app] of [
    ["retire", "istiod"],
    ["drain", "ztunnel"],
  ] as const)
    assert.deepEqual(
      waitsFor(id),
      ["istio-system", "mesh-control"].map((namespace) => [namespace, { app, "istio.io/rev": "old" }]),
    );
});

test("tags move together, a write tests them, and objects that followed a tag follow it again", () => {
  const namespaces = [
    sidecars("shop", { injection: { label: "istio-injection", value: "enabled", tag: "default" } }),
    sidecars("mail", { injection: { label: "istio.io/rev", value: "prod", tag: "prod" } }),
  ];
  const step = stepOf(planMeshUpgrade(upgrade(), { ...world, namespaces }), "tags");
  assert.deepEqual(step.writes.map(fieldOf), [
    'MutatingWebhookConfiguration istio-revision-tag-default name="istiod-new"',
    'Namespace shop istio-injection="enabled"',
    "Namespace shop istio.io/rev absent",
    "Gateway front istio.io/rev absent",
  ]);
  assert.deepEqual(step.settle, [
    { type: "tagServes", tag: "default", revision: "new" },
    { type: "validatorServes", revision: "new" },
  ]);
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
  const [made, left] = stepOf(steps, "split-injection").writes;
  assert.deepEqual(made?.object.name, "serin-rollout-new");
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

test("manual retirement waits for approval before anything is deleted", () => {
  const dependents = (more: object): Step =>
    stepOf(planMeshUpgrade(upgrade({ retire: "Manual", ...more }), world), "dependents");
  const serves = dependents({}).settle.find(({ type }) => type === "revisionServes");
  assert.match(serves?.type === "revisionServes" ? (serves.toDo ?? "") : "", /^restore it, .*kubectl get deployments/);
  assert.deepEqual(dependents({}).pause, { approved: false });
  assert.deepEqual(
    dependents({ approvals: [{ step: "dependents", by: "ann", why: "", at: "2026-01-31T12:00:00Z" }] }).pause,
    { approved: true },
  );
});

test("the old revision may stay if the spec leaves a part of the mesh to it, or its end to a person", () => {
  const mayStay = (more: object): unknown => {
    const { settle } = stepOf(planMeshUpgrade(upgrade(more), { ...world, gateways: [], dataPlanes: [] }), "dependents");
    const condition = settle.find(({ type }) => type === "noDependents");
    return condition?.type === "noDependents" ? condition.mayStay : assert.fail("no such condition");
  };
  assert.equal(mayStay({}), undefined);
  assert.equal(mayStay({ retire: "Manual" }), true);
  assert.equal(mayStay({ scope: { tags: false } }), true);
  assert.equal(mayStay({ scope: { cni: false } }), undefined, "a CNI agent serves all revisions");
});

test("a scope without ztunnel leaves ambient pods alone", () => {
  const steps = ids(
    planMeshUpgrade(upgrade({ scope: { ztunnel: false } }), { ...world, gateways: [], dataPlanes: [] }),
  );
  assert.deepEqual(steps, ["preflight", "install-1", "tags", "dependents", "retire", "drain"]);
});
