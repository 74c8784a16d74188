import { checkDefaults, type Canary, type MeshUpgrade, type ObjectReference } from "../../api/serin/index.ts";
import type { Step, Write } from "../decide/index.ts";
import type { SimRollout } from "./scenario.ts";

function reference(kind: string, name: string, namespace?: string): ObjectReference {
  return {
    apiVersion: kind === "HTTPRoute" ? "gateway.networking.k8s.io/v1" : "apps/v1",
    kind,
    plural: `${kind.toLowerCase()}s`,
    name,
    ...(namespace === undefined ? {} : { namespace }),
  };
}

export const minSamples = 50;
export const revisionPointer = "/metadata/labels/istio.io~1rev";

/** The objects that a rollout moves, by their part. */
export function objectsOf({ name, namespace }: Pick<SimRollout, "name" | "namespace">) {
  return {
    route: reference("HTTPRoute", name, namespace),
    app: reference("Deployment", `app-${name}`, namespace),
    canary: reference("Deployment", `canary-${name}`, namespace),
    service: reference("Service", `canary-${name}`, namespace),
  };
}

/** What an upgrade moves: each has control planes and namespaces of its own. */
export function meshObjectsOf({ name, moves = [] }: Pick<SimRollout, "name" | "moves">) {
  return {
    oldControlPlane: reference("Deployment", `istiod-old-${name}`, "istio-system"),
    newControlPlane: reference("Deployment", `istiod-new-${name}`, "istio-system"),
    namespaces: moves.map((namespace) => ({
      namespace: reference("Namespace", namespace),
      workload: reference("Deployment", `work-${namespace}`, namespace),
    })),
  };
}

export function ownsObject(sim: SimRollout, { kind, name, namespace }: ObjectReference): boolean {
  if (sim.kind === "Canary") return name === sim.name || name.endsWith(`-${sim.name}`);
  return (
    name.endsWith(`-${sim.name}`) ||
    (kind === "Namespace" && sim.moves?.includes(name) === true) ||
    (kind === "Deployment" && name.startsWith("work-") && sim.moves?.includes(namespace ?? "") === true)
  );
}

/** The object as people wrote it. */
export function rolloutObject(sim: SimRollout, at: string): Canary | MeshUpgrade {
  const orders = {
    rollback: sim.rollback,
    onDeletion: sim.onDeletion,
    paused: false,
    abort: false,
    approvals: [],
    ...(sim.group === undefined ? {} : { group: sim.group }),
    settleTimeoutSeconds: 60,
    notifications: [],
  };
  const metadata = {
    name: sim.name,
    ...(sim.kind === "Canary" ? { namespace: sim.namespace } : {}),
    creationTimestamp: at,
    uid: `${sim.name} ${at}`,
    generation: 1,
    resourceVersion: "1",
    finalizers: [],
  };
  if (sim.kind === "MeshUpgrade") {
    return {
      apiVersion: "rollout.serin.dev/v1alpha1",
      kind: "MeshUpgrade",
      metadata,
      spec: {
        ...orders,
        from: { revision: "old" },
        to: { revision: "new", install: [] },
      } as unknown as MeshUpgrade["spec"],
    };
  }
  const target = sim.watched
    ? { deployment: { name: `app-${sim.name}`, service: sim.name, routes: "HTTPRoute", gateways: [] } }
    : { httpRoute: { name: sim.name, rule: 0, stable: { name: "s", port: 80 }, canary: { name: "c", port: 80 } } };
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata,
    spec: { ...orders, target, steps: sim.steps, checks: [] } as unknown as Canary["spec"],
  };
}

/** The steps, with every kind of write that undo knows. */
export function simSteps(sim: SimRollout, approvals: readonly { readonly step: string }[]): Step[] {
  return sim.kind === "MeshUpgrade" ? upgradeSteps(sim) : canarySteps(sim, approvals);
}

function canarySteps(sim: SimRollout, approvals: readonly { readonly step: string }[]): Step[] {
  const { route, app, canary, service } = objectsOf(sim);
  const create = (object: ObjectReference): Write => ({
    type: "create",
    object,
    body: { metadata: { name: object.name } },
  });
  const common = { settle: [], checks: [], namespaces: [sim.namespace] };
  const setup: Step[] = sim.watched
    ? [
        {
          ...common,
          id: "setup",
          title: "setup",
          setup: true,
          essential: true,
          writes: [{ type: "field", object: app, pointer: "/paused", value: true }],
        },
      ]
    : [];
  const weights = sim.steps.map((step, index): Step => {
    const id = `step-${index + 1}`;
    const approved = approvals.some((approval) => approval.step === id);
    return {
      ...common,
      id,
      title: `weight ${step.weight}`,
      ordinal: index + 1,
      weight: step.weight,
      essential: index === sim.steps.length - 1,
      writes: [{ type: "field", object: route, pointer: "/weight", value: step.weight }],
      settle: [{ type: "acknowledged", object: route }],
      checks: [
        {
          spec: { ...checkDefaults, type: "request-success-rate", minSamples },
          subject: {
            type: "backends",
            canary: { service: sim.name, namespace: sim.namespace },
            stable: { service: "stable", namespace: sim.namespace },
            expectedShare: step.weight,
            atLeast: false,
          },
        },
      ],
      ...(step.holdMs === undefined ? {} : { holdMs: step.holdMs }),
      ...(step.untilApproved === true ? { pause: { approved } } : {}),
    };
  });
  return [
    ...setup,
    {
      ...common,
      id: "install",
      title: "install",
      essential: true,
      writes: [create(service), create(canary)],
      settle: [{ type: "ready", object: canary }],
    },
    ...weights,
    {
      ...common,
      id: "end",
      title: "end",
      essential: true,
      writes: [{ type: "field", object: route, pointer: "/old" }],
    },
  ];
}

function upgradeSteps(sim: SimRollout): Step[] {
  const { newControlPlane, oldControlPlane, namespaces } = meshObjectsOf(sim);
  const nothing = { settle: [], checks: [] };
  const moves = namespaces.map(({ namespace, workload }): Step => {
    const { name } = namespace;
    return {
      ...nothing,
      id: `move-${name}`,
      title: `move ${name}`,
      namespaces: [name],
      writes: [
        { type: "field", object: namespace, pointer: revisionPointer, value: `new-${sim.name}`, undoGroup: name },
        {
          type: "field",
          object: workload,
          pointer: "/restartedAt",
          value: `move ${name}`,
          restart: "time",
          undoGroup: name,
        },
      ],
      settle: [{ type: "ready", object: workload }],
    };
  });
  const install: Write = {
    type: "create",
    object: newControlPlane,
    body: { metadata: { name: newControlPlane.name } },
  };
  return [
    {
      ...nothing,
      id: "install",
      title: "install",
      phase: "Preflight",
      writes: [install],
      settle: [{ type: "ready", object: newControlPlane }],
    },
    ...moves,
    { ...nothing, id: "soak", title: "soak", writes: [], holdMs: 5000 },
    {
      ...nothing,
      id: "retire",
      title: "retire",
      phase: "Retiring",
      writes: [{ type: "delete", object: oldControlPlane }],
    },
  ];
}
