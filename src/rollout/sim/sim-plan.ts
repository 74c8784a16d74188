import type { Canary, MeshUpgrade, ObjectReference } from "../../api/serin/index.ts";
import { invariant } from "../../base/index.ts";
import { unplannedChange, type Plan } from "../engine/planner.ts";
import type { Rollout } from "../engine/rollout-object.ts";
import { canaryPlan, type Journals } from "./sim-canary.ts";
import { canarySpec } from "./canary-spec.ts";
import { rev, type SimMesh } from "./sim-mesh.ts";
import { meshSteps, meshUpgradeSpec, type MeshObjects } from "./mesh-in-world.ts";
import { minSamples, type SimRollout } from "./scenario.ts";

export const revisionPointer = rev;

type SimUpgradeOfMesh = SimRollout & { readonly mesh: SimMesh };

/**
 * Whether an object belongs to a rollout: its name contains the rollout's name between dashes or dots, or it is a
 * namespace that the upgrade moves.
 */
export function ownsObject(sim: SimRollout, { kind, name }: ObjectReference): boolean {
  if (sim.kind === "Canary") return kind !== "Namespace" && name.split(/[-.]/).includes(sim.name);
  const own = name.endsWith(`-${sim.name}`) || name.includes(`-${sim.name}-`);
  return kind !== "Machine" && (own || (kind === "Namespace" && sim.moves?.includes(name) === true));
}

export function namespaceOf({ moves = [] }: SimRollout): ObjectReference | undefined {
  return moves[0] === undefined
    ? undefined
    : { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: moves[0] };
}

/** The key of the rollout in the engine, with kind and namespace. */
export function keyOf(sim: SimRollout): string {
  return sim.kind === "Canary" ? `Canary ${sim.namespace}/${sim.name}` : `MeshUpgrade ${sim.name}`;
}

export function simOf(rollouts: readonly SimRollout[], { metadata }: Rollout): SimRollout {
  const found = rollouts.find(({ name }) => name === metadata.name);
  invariant(found !== undefined, "a rollout of no scenario");
  return found;
}

/** The rollout's object, as its user creates it. */
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
  const apiVersion = "rollout.serin.dev/v1alpha1";
  if (sim.kind === "Canary") {
    const spec = { ...canarySpec(sim, { steps: sim.steps, minSamples }), ...orders };
    return { apiVersion, kind: "Canary", metadata, spec: spec as unknown as Canary["spec"] };
  }
  const spec = sim.mesh === undefined ? {} : meshUpgradeSpec({ ...sim, mesh: sim.mesh });
  return { apiVersion, kind: "MeshUpgrade", metadata, spec: { ...spec, ...orders } as unknown as MeshUpgrade["spec"] };
}

/**
 * The real planner's plan for the present state of the model. Throws a user error if the spec does not fit the model.
 */
export function simPlan(
  objects: MeshObjects,
  sim: SimRollout,
  rollout: Canary | MeshUpgrade,
  journals: Journals,
): Plan {
  if (sim.kind === "Canary") return canaryPlan(objects, sim, rollout as Canary, journals);
  const { mesh } = sim;
  // The changes of a person to the upgrade's options.
  const { edited } = rollout.spec as { readonly edited?: Partial<SimMesh> };
  const steps = mesh === undefined ? [] : meshSteps(objects, asEdited(sim, mesh, edited), rollout, journals.journal);
  return { steps, change: unplannedChange(rollout) };
}

/** The upgrade with the person's changes. Without changes this is the same object, whose spec is parsed only once. */
function asEdited(sim: SimRollout, mesh: SimMesh, edited: Partial<SimMesh> | undefined): SimUpgradeOfMesh {
  return edited === undefined ? (sim as SimUpgradeOfMesh) : { ...sim, mesh: { ...mesh, ...edited } };
}
