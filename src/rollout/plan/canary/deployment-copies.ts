import { treeOf, type Tree } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { OwnerReference } from "./made-route.ts";
import type { DeploymentTarget, ObjectReference } from "../../../api/serin/index.ts";
import type { Write } from "../../decide/index.ts";
import { reference, referenceTo } from "../references.ts";
import type { DeploymentInWorld } from "./canary-world.ts";

/** The label with the role of a copy, on the pods of copies that the engine made. */
export const copyLabel = "rollout.serin.dev/copy";
const copyRoles = ["canary", "experiment-baseline", "experiment-canary"] as const;
export type CopyRole = (typeof copyRoles)[number];

export const templateHashLabel = "pod-template-hash";

export function copyName(target: DeploymentTarget, role: CopyRole): string {
  return `${target.name}-${role}`;
}

/** The objects that exist only during runs of a Canary of the Deployment: its copies, and an autoscaler. */
export function copiesOf(target: DeploymentTarget, namespace: string | undefined): readonly ObjectReference[] {
  return [
    ...copyRoles.map((role) => reference("apps/v1", "Deployment", copyName(target, role), namespace)),
    reference("autoscaling/v2", "HorizontalPodAutoscaler", copyName(target, "canary"), namespace),
  ];
}

export function copyLabels({ selector }: DeploymentInWorld, role: CopyRole): Readonly<Record<string, string>> {
  return { ...(treeOf(selector["matchLabels"]) as Record<string, string>), [copyLabel]: role };
}

/** Makes the Deployment the owner of the engine's objects, so that they are deleted with it. */
export function ownerOf({ object, uid }: DeploymentInWorld): OwnerReference {
  return { apiVersion: object.apiVersion, kind: object.kind, name: object.name, uid };
}

/**
 * Makes a second Deployment with the given template. Its pods keep all labels of the template, so that policies,
 * disruption budgets and the Service treat them like the application's other pods. The routes decide which live
 * requests they get.
 */
export function copyOf(
  target: DeploymentTarget,
  world: DeploymentInWorld,
  role: CopyRole,
  template: Tree,
  replicas: number,
): { readonly body: UntypedObject; readonly write: Write } {
  const { namespace = "" } = world.object;
  const labels = copyLabels(world, role);
  const { labels: own, annotations, ...metadata } = treeOf(template["metadata"]);
  const { canaryMetadata } = target;
  const added = role === "experiment-baseline" ? undefined : canaryMetadata;
  const allAnnotations = { ...treeOf(annotations), ...added?.annotations };
  const body: UntypedObject = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: copyName(target, role),
      namespace,
      labels: { ...world.labels, "app.kubernetes.io/managed-by": "serin-rollout", [copyLabel]: role },
      ownerReferences: [ownerOf(world)],
    },
    spec: {
      ...world.spec,
      replicas,
      selector: { ...world.selector, matchLabels: labels },
      template: {
        ...template,
        metadata: {
          ...metadata,
          labels: { ...treeOf(own), ...added?.labels, ...labels },
          ...(Object.keys(allAnnotations).length === 0 ? {} : { annotations: allAnnotations }),
        },
      },
    },
  };
  return { body, write: { type: "create", object: referenceTo(body), body } };
}

/**
 * The autoscaler of the canary copy. It differs from the Deployment's autoscaler in its target and its minimum, and in
 * its maximum if that would be below the minimum. The minimum is at least 1, because Kubernetes by default refuses 0.
 */
export function autoscalerOf(
  target: DeploymentTarget,
  world: DeploymentInWorld,
  replicas: number,
): UntypedObject | undefined {
  if (world.autoscaler === undefined) return undefined;
  const spec = treeOf(world.autoscaler["spec"]);
  const { namespace = "" } = world.object;
  const minReplicas = Math.max(1, replicas);
  return {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: {
      name: copyName(target, "canary"),
      namespace,
      labels: { "app.kubernetes.io/managed-by": "serin-rollout" },
      ownerReferences: [ownerOf(world)],
    },
    spec: {
      ...spec,
      maxReplicas: maxReplicasOf(world.autoscaler, minReplicas),
      minReplicas,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: copyName(target, "canary") },
    },
  };
}

/** The maximum of an autoscaler, raised to the minimum that its copy gets. */
export function maxReplicasOf(autoscaler: UntypedObject | undefined, minReplicas: number): number {
  const { maxReplicas } = treeOf(autoscaler?.["spec"]);
  return Math.max(typeof maxReplicas === "number" ? maxReplicas : 1, minReplicas);
}

/** Makes a Service with the ports of the one that clients call, for only some of its pods. */
export function serviceOf(
  name: string,
  world: DeploymentInWorld,
  selected: Readonly<Record<string, string>>,
): UntypedObject {
  const ports = world.service.ports.map(({ nodePort: _nodePort, ...port }) => port);
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name,
      namespace: world.object.namespace ?? "",
      labels: { "app.kubernetes.io/managed-by": "serin-rollout" },
      ownerReferences: [ownerOf(world)],
    },
    spec: { selector: { ...world.service.selector, ...selected }, ports },
  };
}

export function copyReference(
  target: DeploymentTarget,
  world: DeploymentInWorld,
  role: CopyRole,
): ReturnType<typeof reference> {
  return reference("apps/v1", "Deployment", copyName(target, role), world.object.namespace ?? "");
}
