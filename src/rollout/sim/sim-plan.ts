import {
  checkDefaults,
  type Canary,
  type CheckSpec,
  type MeshUpgrade,
  type JournalEntry,
  type ObjectReference,
} from "../../api/serin/index.ts";
import type { Step, Write } from "../decide/index.ts";
import { firstWrite } from "../observe/canary-world/prior-values.ts";
import { meshSteps, meshUpgradeSpec, rev, type MeshObjects, type SimMesh } from "./sim-mesh.ts";
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

export const templatePointer = "/spec/template";
/** The pod template with which the pods of a Deployment run. */
export const runningPointer = "/running";

/** The pod templates of a Canary's Deployment: the one that it has, and the one from before the run. */
export interface Templates {
  readonly current: unknown;
  readonly stable: unknown;
}

/** Finds the templates in the same way as `deploymentInWorld`. */
export function templatesOf(objects: MeshObjects, sim: SimRollout, journal: readonly JournalEntry[]): Templates {
  const { app } = objectsOf(sim);
  const fields = objects.find(app)?.fields;
  const current = fields?.get(templatePointer);
  const adopted = firstWrite(journal, app, templatePointer);
  return { current, stable: adopted?.written === current ? adopted?.prior : fields?.get(runningPointer) };
}

/** The steps of a rollout. Together they use every kind of write that undo handles. */
export function simSteps(
  objects: MeshObjects,
  sim: SimRollout,
  rollout: Canary | MeshUpgrade,
  journal?: readonly JournalEntry[],
): Step[] {
  const { mesh } = sim;
  const { spec } = rollout;
  const { edited } = spec as { readonly edited?: Partial<SimMesh> };
  if (mesh !== undefined) return meshSteps(objects, { ...sim, mesh: { ...mesh, ...edited } }, rollout);
  // A person may have edited the steps since.
  const { steps, checks } = spec as unknown as Pick<SimRollout, "steps"> & { checks: readonly Partial<CheckSpec>[] };
  const weights = weightSteps({ ...sim, steps }, spec.approvals, checks[0] ?? {});
  const templates = templatesOf(objects, sim, journal ?? []);
  const planned = canarySteps(sim, templates, weights);
  const isIdle = sim.watched && journal !== undefined && templates.current === templates.stable;
  return isIdle ? planned.filter(({ setup }) => setup === true) : planned;
}

function canarySteps(sim: SimRollout, templates: Templates, weights: readonly Step[]): Step[] {
  const { route, canary, service } = objectsOf(sim);
  const create = (object: ObjectReference): Write => ({
    type: "create",
    object,
    body: { metadata: { name: object.name } },
  });
  const common = { settle: [], checks: [], namespaces: [sim.namespace], essential: true };
  return [
    ...(sim.watched ? setupSteps(sim) : []),
    {
      ...common,
      id: "install",
      title: "install",
      writes: [...(sim.watched ? [adoptedTemplate(sim, templates)] : []), create(service), create(canary)],
      settle: [{ type: "ready", object: canary }],
    },
    ...weights,
    ...(sim.watched ? rollSteps(sim, templates) : []),
    {
      ...common,
      id: "end",
      title: "end",
      writes: [{ type: "field", object: route, pointer: "/old" }],
    },
  ];
}

/** Waits until the Deployment runs one template, and holds it. */
function setupSteps(sim: SimRollout): Step[] {
  const { app } = objectsOf(sim);
  const common = { settle: [], checks: [], namespaces: [sim.namespace], setup: true, essential: true };
  return [
    { ...common, id: "settled", title: "settled", writes: [], settle: [{ type: "ready", object: app }] },
    { ...common, id: "setup", title: "setup", writes: [pausedAs(sim, true)] },
  ];
}

/** Rolls the Deployment to the judged template, and holds it again. */
function rollSteps(sim: SimRollout, templates: Templates): Step[] {
  const { app } = objectsOf(sim);
  const common = { settle: [], checks: [], namespaces: [sim.namespace], essential: true };
  return [
    {
      ...common,
      id: "roll",
      title: "roll",
      writes: [pausedAs(sim, undefined), { ...adoptedTemplate(sim, templates), restart: "template" }],
      settle: [{ type: "ready", object: app }],
    },
    { ...common, id: "hold", title: "hold", writes: [pausedAs(sim, true)] },
  ];
}

type FieldWrite = Extract<Write, { type: "field" }>;

function adoptedTemplate(sim: SimRollout, { current, stable }: Templates): FieldWrite {
  const { app } = objectsOf(sim);
  return { type: "field", object: app, pointer: templatePointer, value: current, adopted: { prior: stable } };
}

function pausedAs(sim: SimRollout, value: true | undefined): FieldWrite {
  return {
    type: "field",
    object: objectsOf(sim).app,
    pointer: "/spec/paused",
    ...(value === undefined ? {} : { value }),
  };
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
