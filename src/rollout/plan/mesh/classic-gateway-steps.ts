import type { UntypedObject } from "../../../api/index.ts";
import { canaryOfLabel, type MeshUpgrade } from "../../../api/serin/index.ts";
import type { PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import { labelPointer, reference, referenceTo } from "../references.ts";
import { describeShare, gatewayChecks, replicas, sharesOf } from "./gateway-steps.ts";
import type { ClassicGatewayInWorld } from "./mesh-world.ts";
import { check } from "./planned-check.ts";
import { counted, revisionLabel } from "./sidecar-steps.ts";

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
  { namespace, deployment, body, parts }: ClassicGatewayInWorld,
  matrix: readonly PlannedCheck[],
): Step[] {
  const { from, to, gateways } = upgrade.spec;
  const { name } = deployment;
  if (deployment.replicas === 0) return [];
  const stable = reference("apps/v1", "Deployment", name, namespace);
  const second = canaryBody(body, to.revision, name);
  const canary = referenceTo(second);
  const id = `gateway/${namespace}/${name}`;
  const selector = (body as unknown as DeploymentBody).spec.selector.matchLabels;
  const ready = (atLeast: number): SettleCondition => ({
    type: "readyPods",
    namespace,
    labels: { ...selector, [revisionLabel]: to.revision },
    atLeast,
  });
  const checks = gatewayChecks(
    upgrade,
    check(upgrade, "request-success-rate", {
      type: "revisions",
      canary: to.revision,
      stable: from.revision,
      namespaces: [namespace],
      gatewayLabels: selector,
    }),
    matrix,
  );
  const shifts = sharesOf(gateways.weights, deployment).flatMap((share, index): Step[] => [
    {
      id: `${id}/${share.weight}/pods`,
      title: `gateway ${namespace}/${name}: ${counted(share.canary, "pod")} of ${to.revision} behind the same Service`,
      writes: [
        ...(index === 0 ? [{ type: "create", body: second, object: canary } as const] : []),
        { type: "field", object: canary, pointer: "/spec/replicas", value: share.canary, own: true },
      ],
      settle: [{ type: "ready", object: canary }, ready(share.canary)],
      checks: checks.slice(0, 1),
    },
    {
      id: `${id}/${share.weight}`,
      title: `gateway ${namespace}/${name}: ${describeShare(share)} at ${to.revision}`,
      writes: replicas(stable, share.stable, deployment),
      settle: [ready(share.canary), { type: "ready", object: stable }],
      checks,
    },
  ]);
  const steps: Step[] = [
    ...shifts,
    {
      id: `${id}/own`,
      title: `gateway ${namespace}/${name} belongs to ${to.revision}`,
      writes: [
        {
          type: "field",
          object: stable,
          pointer: "/spec/template",
          value: (body as unknown as DeploymentBody).spec.template,
        },
        ...[stable, ...parts].map((object): Write => ({
          type: "field",
          object,
          pointer: labelPointer(revisionLabel),
          value: to.revision,
        })),
        ...replicas(stable, deployment.replicas, deployment),
      ],
      settle: [
        {
          type: "readyPods",
          namespace,
          labels: { ...selector, [revisionLabel]: to.revision },
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
      writes: [{ type: "delete", object: canary }],
      settle: [{ type: "gone", object: canary }],
      checks: [],
    },
  ];
  return steps.map((step) => ({ ...step, namespaces: [namespace] }));
}

/**
 * Makes the Deployment of the canary. Two labels that the Service does not select distinguish its pods from the stable
 * ones.
 */
function canaryBody(body: UntypedObject, revision: string, name: string): UntypedObject {
  const { spec } = body as unknown as DeploymentBody;
  const own = { [revisionLabel]: revision, [canaryOfLabel]: name };
  const { metadata } = spec.template;
  return {
    ...body,
    metadata: { ...body.metadata, name: `${name}-${revision}`, labels: { ...body.metadata.labels, ...own } },
    spec: {
      ...spec,
      replicas: 1,
      selector: { matchLabels: { ...spec.selector.matchLabels, ...own } },
      template: { ...spec.template, metadata: { ...metadata, labels: { ...metadata.labels, ...own } } },
    },
  };
}
