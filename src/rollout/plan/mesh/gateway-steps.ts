import {
  canaryOfLabel,
  gatewayCanaryAnnotations as annotations,
  type CheckType,
  type MeshUpgrade,
  type ObjectReference,
} from "../../../api/serin/index.ts";
import type { PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import { annotationPointer, labelPointer, reference } from "../references.ts";
import type { GatewayInWorld, MeshWorld, ScaledDeployment } from "./mesh-world.ts";
import { check, namedChecks } from "./planned-check.ts";
import { counted, revisionLabel } from "./sidecar-steps.ts";

const ofRequests: ReadonlySet<CheckType> = new Set(["request-success-rate", "request-duration"]);
const gatewayNameLabel = "gateway.networking.k8s.io/gateway-name";

/** Labels gateways that follow their namespace with the old revision, so that they do not move with the namespace. */
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

/** The numbers of pods of each revision that give a weight. */
interface Share {
  readonly weight: number;
  readonly canary: number;
  readonly stable: number;
}

/**
 * Computes the numbers of pods whose share comes nearest to each weight. Weights with the same numbers become one step.
 * If an autoscaler decides the number of stable pods, they all stay until they are replaced.
 */
export function sharesOf(
  weights: readonly number[],
  { replicas, autoscaled }: Pick<ScaledDeployment, "replicas" | "autoscaled">,
): Share[] {
  const shares = weights.flatMap((weight): Share[] => {
    if (weight === 100) return autoscaled ? [] : [{ weight, canary: replicas, stable: 0 }];
    const canary = Math.max(1, Math.round((replicas * weight) / 100));
    return [{ weight, canary, stable: autoscaled ? replicas : Math.max(1, replicas - canary) }];
  });
  return shares.filter(
    ({ canary, stable }, index) =>
      !shares.slice(index + 1).some((later) => later.canary === canary && later.stable === stable),
  );
}

export function describeShare({ weight, canary, stable }: Share): string {
  const share = Math.round((100 * canary) / (canary + stable));
  return `${share} % (${canary} of ${canary + stable} pods${share === weight ? "" : `, as near as it comes to ${weight} %`})`;
}

function ingressSteps(upgrade: MeshUpgrade, gateway: GatewayInWorld, matrix: readonly PlannedCheck[]): Step[] {
  const { from, to, gateways } = upgrade.spec;
  const { name, namespace } = gateway;
  const [deployment] = gateway.deployments;
  if (deployment === undefined || deployment.replicas === 0) return [];
  const object = gatewayReference(gateway);
  const id = `gateway/${namespace}/${name}`;
  const stable = reference("apps/v1", "Deployment", deployment.name, namespace);
  const canary = reference("apps/v1", "Deployment", `${deployment.name}-${to.revision}`, namespace);
  const acknowledged: SettleCondition = { type: "acknowledged", object };
  const answers = check(upgrade, "request-success-rate", {
    type: "gatewayRevisions",
    gateway: { name, namespace },
    canary: to.revision,
    stable: from.revision,
  });
  const checks = gatewayChecks(upgrade, answers, matrix).filter(
    ({ spec }) => gateway.eastWest !== true || !ofRequests.has(spec.type),
  );
  const ready = (revision: string, atLeast: number): SettleCondition => ({
    type: "readyPods",
    namespace,
    labels: { [gatewayNameLabel]: name, [revisionLabel]: revision },
    atLeast,
  });
  const shifts = sharesOf(gateways.weights, deployment).flatMap((share): Step[] => [
    // The new pods must be ready before the old ones are removed.
    {
      id: `${id}/${share.weight}/pods`,
      title: `gateway ${namespace}/${name}: ${counted(share.canary, "pod")} of ${to.revision} behind the same Service`,
      writes: [
        annotate(object, annotations.replicas, String(share.canary)),
        annotate(object, annotations.revision, to.revision),
      ],
      settle: [{ type: "ready", object: canary }, ready(to.revision, share.canary), acknowledged],
      checks: share.canary > 0 ? checks.slice(0, 1) : [],
    },
    {
      id: `${id}/${share.weight}`,
      title: `gateway ${namespace}/${name}: ${describeShare(share)} at ${to.revision}`,
      writes: replicas(stable, share.stable, deployment),
      settle: [ready(to.revision, share.canary), { type: "ready", object: stable }, acknowledged],
      checks,
    },
  ]);
  const steps: Step[] = [
    ...shifts,
    {
      id: `${id}/own`,
      title: `gateway ${namespace}/${name} belongs to ${to.revision}`,
      writes: [
        { type: "field", object, pointer: labelPointer(revisionLabel), value: to.revision },
        // Pods that start before the new control plane owns the Deployment would belong to the old revision, and be
        // removed again.
        ...replicas(stable, deployment.replicas, deployment).map((write) => ({
          ...write,
          after: { pointer: `/spec/template${labelPointer(revisionLabel)}`, value: to.revision },
        })),
      ],
      settle: [
        acknowledged,
        {
          type: "readyPods",
          namespace,
          labels: { [gatewayNameLabel]: name, [revisionLabel]: to.revision },
          without: canaryOfLabel,
          atLeast: deployment.replicas,
        },
        { type: "ready", object: stable },
      ],
      checks,
    },
    {
      id: `${id}/done`,
      title: `gateway ${namespace}/${name}: delete the canary`,
      writes: [annotate(object, annotations.revision), annotate(object, annotations.replicas)],
      settle: [acknowledged, { type: "gone", object: canary }],
      checks: [],
    },
  ];
  return steps.map((step) => ({ ...step, namespaces: [namespace] }));
}

function waypointSteps(upgrade: MeshUpgrade, gateway: GatewayInWorld, matrix: readonly PlannedCheck[]): Step[] {
  const { from, to, waypoints } = upgrade.spec;
  const { name, namespace, deployments } = gateway;
  if (deployments.length === 0) return [];
  const object = gatewayReference(gateway);
  const id = `waypoint/${namespace}/${name}`;
  const size = Math.max(1, ...deployments.map(({ replicas: count }) => count));
  const deployed = (suffix: string): SettleCondition[] =>
    deployments.map((deployment) => ({
      type: "ready",
      object: reference("apps/v1", "Deployment", `${deployment.name}${suffix}`, namespace),
    }));
  const acknowledged: SettleCondition = { type: "acknowledged", object };
  const subject = { type: "revisions", canary: to.revision, stable: from.revision, namespaces: [namespace] } as const;
  const checks = namedChecks(
    upgrade,
    [check(upgrade, "xds-nacks", { type: "proxies", revision: to.revision }), ...matrix],
    subject,
  );
  const title = (action: string): string => `waypoint ${namespace}/${name}: ${action}`;
  const steps: Step[] = [
    {
      id: `${id}/0`,
      title: title(`${counted(size, "pod")} of ${to.revision} beside it`),
      writes: [
        annotate(object, annotations.weight, "0"),
        annotate(object, annotations.replicas, String(size)),
        annotate(object, annotations.revision, to.revision),
      ],
      settle: [...deployed(`-${to.revision}`), acknowledged],
      checks: [],
    },
    ...waypoints.weights.map((weight): Step => ({
      id: `${id}/${weight}`,
      title: title(`${weight} % of new connections at ${to.revision}`),
      writes: [annotate(object, annotations.weight, String(weight))],
      settle: [acknowledged],
      checks,
    })),
    {
      id: `${id}/own`,
      title: title(`belongs to ${to.revision}`),
      writes: [{ type: "field", object, pointer: labelPointer(revisionLabel), value: to.revision }],
      settle: [
        acknowledged,
        ...deployments.map((one): SettleCondition => ({
          type: "readyPods",
          namespace,
          labels: { [gatewayNameLabel]: name, [revisionLabel]: to.revision },
          without: canaryOfLabel,
          atLeast: one.replicas,
        })),
        ...deployed(""),
      ],
      checks,
    },
    {
      id: `${id}/done`,
      title: title("delete the canary"),
      writes: [
        annotate(object, annotations.weight),
        annotate(object, annotations.replicas),
        annotate(object, annotations.revision),
      ],
      settle: [
        acknowledged,
        ...deployments.map((one): SettleCondition => ({
          type: "gone",
          object: reference("apps/v1", "Deployment", `${one.name}-${to.revision}`, namespace),
        })),
      ],
      checks: [],
    },
  ];
  return steps.map((step) => ({ ...step, namespaces: [namespace] }));
}

export function gatewayChecks(
  upgrade: MeshUpgrade,
  answers: PlannedCheck,
  matrix: readonly PlannedCheck[],
): PlannedCheck[] {
  return namedChecks(
    upgrade,
    [check(upgrade, "xds-nacks", { type: "proxies", revision: upgrade.spec.to.revision }), answers, ...matrix],
    answers.subject,
  );
}

/** Writes the number of pods, unless an autoscaler decides it. */
export function replicas(
  object: ObjectReference,
  count: number,
  { autoscaled }: ScaledDeployment,
): Extract<Write, { type: "field" }>[] {
  return autoscaled ? [] : [{ type: "field", object, pointer: "/spec/replicas", value: count }];
}

function annotate(object: ObjectReference, key: string, value?: string): Write {
  return { type: "field", object, pointer: annotationPointer(key), ...(value === undefined ? {} : { value }) };
}
