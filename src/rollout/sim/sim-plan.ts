import {
  checkDefaults,
  type Canary,
  type CheckSpec,
  type MeshUpgrade,
  type ObjectReference,
} from "../../api/serin/index.ts";
import type { Step, Write } from "../decide/index.ts";
import { meshSteps, meshUpgradeSpec, rev, type MeshObjects } from "./sim-mesh.ts";
import { minSamples, type SimRollout } from "./scenario.ts";

function reference(kind: string, name: string, namespace?: string): ObjectReference {
  return {
    apiVersion: kind === "HTTPRoute" ? "gateway.networking.k8s.io/v1" : "apps/v1",
    kind,
    plural: `${kind.toLowerCase()}s`,
    name,
    ...(namespace === undefined ? {} : { namespace }),
  };
}

export const revisionPointer = rev;

/** The objects that a rollout changes, by their role. */
export function objectsOf({ name, namespace }: Pick<SimRollout, "name" | "namespace">) {
  return {
    route: reference("HTTPRoute", name, namespace),
    app: reference("Deployment", `app-${name}`, namespace),
    canary: reference("Deployment", `canary-${name}`, namespace),
    service: reference("Service", `canary-${name}`, namespace),
  };
}

export function ownsObject(sim: SimRollout, { kind, name }: ObjectReference): boolean {
  if (sim.kind === "Canary") return name === sim.name || name.endsWith(`-${sim.name}`);
  const own = name.endsWith(`-${sim.name}`) || name.includes(`-${sim.name}-`);
  return kind !== "Machine" && (own || (kind === "Namespace" && sim.moves?.includes(name) === true));
}

/** The first namespace that an upgrade moves. Undefined if it moves none. */
export function namespaceOf({ moves = [] }: SimRollout): ObjectReference | undefined {
  return moves[0] === undefined
    ? undefined
    : { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: moves[0] };
}

/** The rollout's name in the engine. */
export function keyOf(sim: SimRollout): string {
  return sim.kind === "Canary" ? `Canary ${sim.namespace}/${sim.name}` : `MeshUpgrade ${sim.name}`;
}

/** The rollout's object, as its user wrote it. */
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
        ...(sim.mesh === undefined ? {} : meshUpgradeSpec({ ...sim, mesh: sim.mesh })),
        ...orders,
      } as MeshUpgrade["spec"],
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

/** The steps of a rollout. Together they use every kind of write that undo handles. */
export function simSteps(objects: MeshObjects, sim: SimRollout, { spec }: Canary | MeshUpgrade): Step[] {
  const { mesh } = sim;
  if (mesh !== undefined) return meshSteps(objects, { ...sim, mesh }, spec.approvals);
  // A person may have edited the steps since.
  const { steps, checks } = spec as unknown as Pick<SimRollout, "steps"> & { checks: readonly Partial<CheckSpec>[] };
  return canarySteps({ ...sim, steps }, spec.approvals, checks[0]);
}

function canarySteps(
  sim: SimRollout,
  approvals: readonly { readonly step: string }[],
  edited: Partial<CheckSpec> = {},
): Step[] {
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
          writes: [{ type: "field", object: app, pointer: "/spec/paused", value: true }],
        },
      ]
    : [];
  const weights = weightSteps(sim, approvals, edited);
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

function weightSteps(
  sim: SimRollout,
  approvals: readonly { readonly step: string }[],
  edited: Partial<CheckSpec>,
): Step[] {
  const { route } = objectsOf(sim);
  return sim.steps.map((step, index): Step => {
    const id = `step-${index + 1}`;
    const approved = approvals.some((approval) => approval.step === id);
    return {
      namespaces: [sim.namespace],
      id,
      title: `weight ${step.weight}`,
      ordinal: index + 1,
      weight: step.weight,
      essential: index === sim.steps.length - 1,
      writes: [{ type: "field", object: route, pointer: "/weight", value: step.weight }],
      needs: [{ type: "versionServes", namespace: sim.namespace, service: sim.name, labels: {} }],
      settle: [{ type: "acknowledged", object: route }],
      checks: [
        {
          spec: { ...checkDefaults, type: "request-success-rate", minSamples, ...edited },
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
}
