import { counted } from "../../../base/index.ts";
import { istioLabels } from "../../../api/istio/index.ts";
import {
  canaryOfLabel,
  gatewayCanaryAnnotations as annotations,
  type CheckType,
  type MeshUpgrade,
  type ObjectReference,
} from "../../../api/serin/index.ts";
import type { PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import { annotationPointer, labelPointer, reference } from "../references.ts";
import { gatewayChecks, gatewayMoveSteps, replicas, replicasBefore, type GatewayMove } from "./gateway-move.ts";
import type { GatewayInWorld, MeshWorld, ScaledDeployment } from "./mesh-world.ts";
import { check, namedChecks } from "./planned-check.ts";
import { revisionLabel } from "./sidecar-steps.ts";

const ofRequests: ReadonlySet<CheckType> = new Set(["request-success-rate", "request-duration"]);

/**
 * Gives the old revision's label to gateways that follow their namespace, so that they do not move with the namespace.
 */
export function pinGatewaySteps({ spec }: MeshUpgrade, { gateways }: MeshWorld): Step[] {
  const following = gateways.filter(({ followsNamespace }) => followsNamespace);
  if (following.length === 0) return [];
  return [
    {
      id: "pin-gateways",
      title: `pin ${counted(following.length, "gateway")} to ${spec.from.revision}`,
      writes: following.map((gateway) => ({
        type: "field",
        object: gatewayReference(gateway),
        pointer: labelPointer(revisionLabel),
        value: spec.from.revision,
      })),
      settle: following.map((gateway) => ({ type: "acknowledged", object: gatewayReference(gateway) })),
      checks: [],
    },
  ];
}

export function gatewayReference({ name, namespace }: GatewayInWorld): ObjectReference {
  return reference("gateway.networking.k8s.io/v1", "Gateway", name, namespace);
}

/**
 * Moves a gateway or a waypoint: a canary starts beside it and gets a growing share of the traffic, and then the
 * gateway's own pods move to the new revision.
 */
export function gatewaySteps(upgrade: MeshUpgrade, gateway: GatewayInWorld, matrix: readonly PlannedCheck[]): Step[] {
  return gateway.waypoint ? waypointSteps(upgrade, gateway, matrix) : ingressSteps(upgrade, gateway, matrix);
}

function ingressSteps(upgrade: MeshUpgrade, gateway: GatewayInWorld, matrix: readonly PlannedCheck[]): Step[] {
  const { to, gateways } = upgrade.spec;
  const { name, namespace } = gateway;
  const [deployment] = gateway.deployments;
  if (deployment === undefined) return [];
  const object = gatewayReference(gateway);
  const stable = reference("apps/v1", "Deployment", deployment.name, namespace);
  const move: GatewayMove = {
    namespace,
    name,
    revision: to.revision,
    deployment,
    moved: gateway.moved,
    stable,
    canary: reference("apps/v1", "Deployment", `${deployment.name}-${to.revision}`, namespace),
    podLabels: { [istioLabels.gatewayName]: name },
    canaryLabel: canaryOfLabel,
    acknowledged: [{ type: "acknowledged", object }],
    checks: ingressChecks(upgrade, gateway, matrix),
    scaleCanary: (pods) => [
      { ...annotate(object, annotations.replicas, String(pods)), noted: true },
      { ...annotate(object, annotations.revision, to.revision), noted: true },
      { ...annotate(object, annotations.replicasBefore, replicasBefore(deployment)), own: true, noted: true },
    ],
    takeOver: [
      { type: "field", object, pointer: labelPointer(revisionLabel), value: to.revision },
      ...replicasAfterOwner(stable, deployment, to.revision),
    ],
    deleteCanary: [
      annotate(object, annotations.revision),
      annotate(object, annotations.replicas),
      { ...annotate(object, annotations.replicasBefore), own: true },
    ],
  };
  return gatewayMoveSteps(move, gateways.weights, upgrade.status);
}

/** A gateway between networks forwards connections, so it has no requests to measure. */
function ingressChecks(
  upgrade: MeshUpgrade,
  { name, namespace, eastWest }: GatewayInWorld,
  matrix: readonly PlannedCheck[],
): PlannedCheck[] {
  const answers = check(upgrade, "request-success-rate", {
    type: "gatewayRevisions",
    gateway: { name, namespace },
    canary: upgrade.spec.to.revision,
    stable: upgrade.spec.from.revision,
  });
  return gatewayChecks(upgrade, answers, matrix).filter(({ spec }) => eastWest !== true || !ofRequests.has(spec.type));
}

/**
 * Writes the number of pods only after the new control plane owns the Deployment: pods that start earlier would belong
 * to the old revision, and would be removed again.
 */
function replicasAfterOwner(stable: ObjectReference, deployment: ScaledDeployment, revision: string): Write[] {
  return replicas(stable, deployment.replicas, deployment).map((write) => ({
    ...write,
    after: { pointer: `/spec/template${labelPointer(revisionLabel)}`, value: revision },
  }));
}

interface WaypointMove {
  readonly namespace: string;
  readonly name: string;
  readonly revision: string;
  readonly deployments: readonly ScaledDeployment[];
  readonly object: ObjectReference;
  readonly acknowledged: SettleCondition;
  readonly checks: readonly PlannedCheck[];
}

function waypointSteps(upgrade: MeshUpgrade, gateway: GatewayInWorld, matrix: readonly PlannedCheck[]): Step[] {
  const { to, waypoints } = upgrade.spec;
  const { name, namespace, deployments } = gateway;
  if (deployments.length === 0) return [];
  const object = gatewayReference(gateway);
  const move: WaypointMove = {
    namespace,
    name,
    revision: to.revision,
    deployments,
    object,
    acknowledged: { type: "acknowledged", object },
    checks: waypointChecks(upgrade, namespace, matrix),
  };
  const shifts = [waypointCanaryStep(move), ...waypoints.weights.map((weight) => waypointWeightStep(move, weight))];
  const steps = [...(gateway.moved === true ? [] : shifts), waypointTakeOverStep(move), waypointDoneStep(move)];
  return steps.map((step) => ({ ...step, namespaces: [namespace] }));
}

function waypointChecks(upgrade: MeshUpgrade, namespace: string, matrix: readonly PlannedCheck[]): PlannedCheck[] {
  const { from, to } = upgrade.spec;
  return namedChecks(upgrade, [check(upgrade, "xds-nacks", { type: "proxies", revision: to.revision }), ...matrix], {
    type: "revisions",
    canary: to.revision,
    stable: from.revision,
    namespaces: [namespace],
  });
}

function waypointCanaryStep(move: WaypointMove): Step {
  const { object, revision, deployments, acknowledged } = move;
  const size = Math.max(1, ...deployments.map((deployment) => deployment.replicas));
  return {
    ...waypointStep(move, "0", `${counted(size, "pod")} of ${revision} beside it`),
    writes: [
      annotate(object, annotations.weight, "0"),
      annotate(object, annotations.replicas, String(size)),
      annotate(object, annotations.revision, revision),
    ],
    settle: [...readyDeployments(move, `-${revision}`), acknowledged],
    checks: [],
  };
}

function waypointWeightStep(move: WaypointMove, weight: number): Step {
  const { object, revision, acknowledged, checks } = move;
  return {
    ...waypointStep(move, String(weight), `${weight} % of new connections at ${revision}`),
    writes: [annotate(object, annotations.weight, String(weight))],
    settle: [acknowledged],
    checks,
  };
}

function waypointTakeOverStep(move: WaypointMove): Step {
  const { namespace, name, object, revision, deployments, acknowledged, checks } = move;
  return {
    ...waypointStep(move, "own", `belongs to ${revision}`),
    writes: [{ type: "field", object, pointer: labelPointer(revisionLabel), value: revision }],
    settle: [
      acknowledged,
      ...deployments.map((deployment): SettleCondition => ({
        type: "readyPods",
        of: deploymentReference(deployment.name, namespace),
        namespace,
        labels: { [istioLabels.gatewayName]: name, [revisionLabel]: revision },
        without: canaryOfLabel,
        atLeast: deployment.replicas,
      })),
      ...readyDeployments(move, ""),
    ],
    checks,
  };
}

function waypointDoneStep(move: WaypointMove): Step {
  const { namespace, object, revision, deployments, acknowledged } = move;
  return {
    ...waypointStep(move, "done", "delete the canary"),
    writes: [
      annotate(object, annotations.weight),
      annotate(object, annotations.replicas),
      annotate(object, annotations.revision),
    ],
    settle: [
      acknowledged,
      ...deployments.map((deployment): SettleCondition => ({
        type: "gone",
        object: deploymentReference(`${deployment.name}-${revision}`, namespace),
      })),
    ],
    checks: [],
  };
}

function waypointStep({ namespace, name }: WaypointMove, id: string, action: string): Pick<Step, "id" | "title"> {
  return { id: `waypoint/${namespace}/${name}/${id}`, title: `waypoint ${namespace}/${name}: ${action}` };
}

function readyDeployments({ deployments, namespace }: WaypointMove, suffix: string): SettleCondition[] {
  return deployments.map((deployment) => ({
    type: "ready",
    object: deploymentReference(`${deployment.name}${suffix}`, namespace),
  }));
}

function deploymentReference(name: string, namespace: string): ObjectReference {
  return reference("apps/v1", "Deployment", name, namespace);
}

function annotate(object: ObjectReference, key: string, value?: string): Extract<Write, { type: "field" }> {
  return { type: "field", object, pointer: annotationPointer(key), ...(value === undefined ? {} : { value }) };
}
