import type { MeshUpgrade, ObjectReference } from "../../../api/serin/index.ts";
import {
  describeReference,
  enabledPointer,
  probeNamespaceObject,
  type SettleCondition,
  type Step,
  type Write,
} from "../../decide/index.ts";
import type { MeshWorld, RevisionOwner } from "./mesh-world.ts";
import { revisionLabel } from "./sidecar-steps.ts";
import { splitInjector } from "./split-injection.ts";

export const retireStepId = "retire";
/** The namespace of control planes and ztunnels, unless somebody has installed them elsewhere. */
export const usualNamespace = "istio-system";

/**
 * Undo does not create the namespace again. It would first have to wait for the end of the namespace's deletion, which
 * can take minutes.
 */
const deleteProbes: Write = { type: "delete", object: probeNamespaceObject, forGood: true };

/**
 * Removes the old revision when nothing depends on it. The last step then waits until the last connections of its
 * ztunnel have ended.
 */
export function retireSteps(
  upgrade: MeshUpgrade,
  { retirable, owners = [], retiredFrom = [], namespaces, dataPlanes, tags }: MeshWorld,
): Step[] {
  const { from, retire, approvals } = upgrade.spec;
  const rights = retirable.filter(isRight);
  const left = namespaces.filter(({ leftToEnd }) => leftToEnd.length > 0);
  const gone = (app: string, toDo?: string): SettleCondition[] =>
    [...new Set([usualNamespace, ...retiredFrom])].map((namespace) => ({
      type: "podsGone",
      namespace,
      labels: { app, [revisionLabel]: from.revision },
      ...(toDo === undefined ? {} : { toDo }),
    }));
  return [
    {
      id: "dependents",
      title: `nothing depends on ${from.revision}`,
      writes: [],
      settle: [
        // The first condition that waits becomes the status message, so this one, which contains the commands, comes
        // first.
        { type: "noDependents", revision: from.revision, to: upgrade.spec.to.revision, ...mayStay(upgrade) },
        ...left.map(({ name }): SettleCondition => ({ type: "leftToEnd", namespace: name, revision: from.revision })),
        // Somebody may have deleted the new control plane or scaled it down. Without this condition, no control plane
        // might be left.
        {
          type: "revisionServes",
          revision: upgrade.spec.to.revision,
          toDo: `restore it, and the upgrade continues: kubectl get deployments -A -l app=istiod,istio.io/rev=${upgrade.spec.to.revision}`,
        },
      ],
      checks: [],
      phase: "Retiring",
      patient: true,
      ...(retire === "Manual" ? { pause: { approved: approvals.some(({ step }) => step === "dependents") } } : {}),
    },
    {
      id: retireStepId,
      title: `retire ${from.revision}`,
      writes: [
        ...(dataPlanes.length > 0 ? [deleteProbes] : []),
        ...(upgrade.spec.waves.some(({ workloadLabels }) => Object.keys(workloadLabels).length > 0)
          ? [{ type: "delete", object: splitInjector(upgrade.spec.to.revision) } as const]
          : []),
        ...owners.flatMap(retireOwned),
        ...tags.flatMap(({ left = [] }) => left.map((object): Write => ({ type: "delete", object }))),
        ...retirable.filter((object) => !isRight(object)).map((object): Write => ({ type: "delete", object })),
      ],
      settle: gone("istiod", howToEnd(from.revision, owners)),
      checks: [],
      phase: "Retiring",
    },
    ...(rights.length === 0 ? [] : [rightsStep(from.revision, rights)]),
    {
      id: "drain",
      title: `wait until the last connections of ztunnel ${from.revision} end`,
      writes: [],
      settle: gone("ztunnel"),
      checks: [],
      phase: "Retiring",
      patient: true,
      lingers: true,
    },
  ];
}

/**
 * Parts of the mesh may stay if the spec moves only some, for example from Istio to Serin beside it, or leaves the
 * retirement to a person.
 */
function mayStay({ spec: { scope, retire } }: MeshUpgrade): { readonly mayStay?: true } {
  const { namespaces, ztunnel, gateways, waypoints, tags } = scope;
  const isWhole = namespaces && ztunnel && gateways && waypoints && tags;
  return isWhole && retire === "Automatic" ? {} : { mayStay: true };
}

/**
 * How a person ends the old control plane if its pods stay, because its operator or its node does not run. Nothing
 * depends on these pods, so they are no reason to undo the upgrade.
 */
function howToEnd(revision: string, [owner]: readonly RevisionOwner[]): string {
  return owner === undefined
    ? `see why its pods do not end, and the upgrade continues when they have: kubectl get pods -A -l app=istiod,${revisionLabel}=${revision}; on a node that is lost, delete them with --force`
    : `see that the operator of ${describeReference(owner.object)} runs and removes it (its log, and the object's status), and the upgrade continues`;
}

/**
 * Removes the rights after the control plane has ended. Without rights it could not give up its leases, and the next
 * control plane would wait until they expire.
 */
function rightsStep(revision: string, rights: readonly ObjectReference[]): Step {
  return {
    id: "rights",
    title: `delete the rights of ${revision}`,
    writes: rights.map((object): Write => ({ type: "delete", object })),
    settle: [],
    checks: [],
    phase: "Retiring",
  };
}

function isRight({ apiVersion, kind }: ObjectReference): boolean {
  return apiVersion.startsWith("rbac.authorization.k8s.io/") || kind === "ServiceAccount";
}

function retireOwned({ object, components }: RevisionOwner): Write[] {
  if (components === undefined) return [{ type: "delete", object }];
  return components.map((name) => ({
    type: "field",
    object,
    pointer: enabledPointer(name),
    value: false,
  }));
}

/** Removes only the probes, if no revision is removed. */
export function removeProbes({ dataPlanes }: MeshWorld): Step[] {
  if (dataPlanes.length === 0) return [];
  return [
    {
      id: "probes-leave",
      title: "delete the probes",
      writes: [deleteProbes],
      settle: [],
      checks: [],
      phase: "Retiring",
    },
  ];
}
