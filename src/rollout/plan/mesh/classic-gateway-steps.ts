import type { UntypedObject } from "../../../api/index.ts";
import { canaryOfLabel, gatewayCanaryAnnotations as annotations, type MeshUpgrade } from "../../../api/serin/index.ts";
import type { PlannedCheck, Step, Write } from "../../decide/index.ts";
import { annotationPointer, labelPointer, reference, referenceTo } from "../references.ts";
import { gatewayChecks, gatewayMoveSteps, replicas, replicasBefore, type GatewayMove } from "./gateway-move.ts";
import type { ClassicGatewayInWorld } from "./mesh-world.ts";
import { check } from "./planned-check.ts";
import { revisionLabel } from "./sidecar-steps.ts";

interface DeploymentBody {
  readonly spec: {
    readonly replicas?: number;
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly template: { readonly metadata: { readonly labels: Record<string, string> } };
  };
}

/**
 * Moves a gateway of the installation like a Gateway of the Gateway API: with a second Deployment that the same Service
 * selects by its labels.
 */
export function classicGatewaySteps(
  upgrade: MeshUpgrade,
  gateway: ClassicGatewayInWorld,
  matrix: readonly PlannedCheck[],
): Step[] {
  const { to, gateways } = upgrade.spec;
  const { namespace, deployment, moved, body, parts } = gateway;
  const { name } = deployment;
  const { selector, template } = (body as unknown as DeploymentBody).spec;
  const stable = reference("apps/v1", "Deployment", name, namespace);
  const before = replicasBefore(deployment);
  const second = (pods: number): UntypedObject => canaryBody(body, to.revision, { name, pods, before });
  const canary = referenceTo(second(1));
  const move: GatewayMove = {
    namespace,
    name,
    revision: to.revision,
    deployment,
    moved,
    stable,
    canary,
    podLabels: selector.matchLabels,
    canaryLabel: canaryOfLabel,
    acknowledged: [],
    checks: classicGatewayChecks(upgrade, gateway, matrix),
    scaleCanary: (pods) => [
      { type: "create", body: second(pods), object: canary },
      { type: "field", object: canary, pointer: "/spec/replicas", value: pods, own: true, noted: true },
      {
        type: "field",
        object: canary,
        pointer: annotationPointer(annotations.replicasBefore),
        value: before,
        own: true,
        noted: true,
      },
    ],
    madeCanary: { readyPods: gateway.readyCanaryPods ?? Number.POSITIVE_INFINITY },
    takeOver: [
      { type: "field", object: stable, pointer: "/spec/template", value: template },
      ...[stable, ...parts].map((object): Write => ({
        type: "field",
        object,
        pointer: labelPointer(revisionLabel),
        value: to.revision,
      })),
      ...replicas(stable, deployment.replicas, deployment),
    ],
    deleteCanary: [{ type: "delete", object: canary }],
  };
  return gatewayMoveSteps(move, gateways.weights, upgrade.status);
}

function classicGatewayChecks(
  upgrade: MeshUpgrade,
  { namespace, body }: ClassicGatewayInWorld,
  matrix: readonly PlannedCheck[],
): PlannedCheck[] {
  const answers = check(upgrade, "request-success-rate", {
    type: "revisions",
    canary: upgrade.spec.to.revision,
    stable: upgrade.spec.from.revision,
    namespaces: [namespace],
    gatewayLabels: (body as unknown as DeploymentBody).spec.selector.matchLabels,
  });
  return gatewayChecks(upgrade, answers, matrix);
}

/**
 * Makes the Deployment of the canary. Two labels that the Service does not select distinguish its pods from the stable
 * ones.
 */
function canaryBody(
  body: UntypedObject,
  revision: string,
  { name, pods, before }: { readonly name: string; readonly pods: number; readonly before: string },
): UntypedObject {
  const { spec } = body as unknown as DeploymentBody;
  const own = { [revisionLabel]: revision, [canaryOfLabel]: name };
  const { metadata } = spec.template;
  return {
    ...body,
    metadata: {
      ...body.metadata,
      name: `${name}-${revision}`,
      labels: { ...body.metadata.labels, ...own },
      annotations: { ...body.metadata.annotations, [annotations.replicasBefore]: before },
    },
    spec: {
      ...spec,
      replicas: pods,
      selector: { matchLabels: { ...spec.selector.matchLabels, ...own } },
      template: { ...spec.template, metadata: { ...metadata, labels: { ...metadata.labels, ...own } } },
    },
  };
}
