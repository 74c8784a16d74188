import type { UntypedObject } from "../../../api/index.ts";
import type { OwnerReference } from "./made-route.ts";
import type { DeploymentTarget } from "../../../api/serin/index.ts";
import type { Write } from "../../decide/index.ts";
import { reference, referenceTo } from "../references.ts";
import type { DeploymentInWorld } from "./canary-world.ts";
import { fieldsOf, type Fields } from "./traffic.ts";

/** Label of the pods of a copy that the engine made: what the copy is, `canary`, `experiment-baseline` or `experiment-canary`. */
export const copyLabel = "rollout.serin.dev/copy";
export type CopyRole = "canary" | "experiment-baseline" | "experiment-canary";

export const templateHashLabel = "pod-template-hash";

export function copyName(target: DeploymentTarget, role: CopyRole): string {
  return `${target.name}-${role}`;
}

/** Labels that tell the pods of a copy from all others of the Deployment. */
export function copyLabels({ selector }: DeploymentInWorld, role: CopyRole): Readonly<Record<string, string>> {
  return { ...(fieldsOf(selector["matchLabels"]) as Record<string, string>), [copyLabel]: role };
}

/** Made objects go when the Deployment does. */
export function ownerOf({ object, uid }: DeploymentInWorld): OwnerReference {
  return { apiVersion: object.apiVersion, kind: object.kind, name: object.name, uid };
}

/**
 * A Deployment beside the user's, with a template of its own. Its pods keep all labels of the template, so that policies, disruption
 * budgets and the Service treat them as any pod of the application; what they get of live requests is said by the routes.
 */
export function copyOf(
  target: DeploymentTarget,
  world: DeploymentInWorld,
  role: CopyRole,
  template: Fields,
  replicas: number,
): { readonly body: UntypedObject; readonly write: Write } {
  const { namespace = "" } = world.object;
  const labels = copyLabels(world, role);
  const { labels: own, annotations, ...metadata } = fieldsOf(template["metadata"]);
  const { canaryMetadata } = target;
  const added = role === "experiment-baseline" ? undefined : canaryMetadata;
  const allAnnotations = { ...fieldsOf(annotations), ...added?.annotations };
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
          labels: { ...fieldsOf(own), ...added?.labels, ...labels },
          ...(Object.keys(allAnnotations).length === 0 ? {} : { annotations: allAnnotations }),
        },
      },
    },
  };
  return { body, write: { type: "create", object: referenceTo(body), body } };
}

/** The autoscaler of the canary copy: as the Deployment's own, but for whom it scales and from how many pods on. */
export function autoscalerOf(
  target: DeploymentTarget,
  world: DeploymentInWorld,
  minReplicas: number,
): UntypedObject | undefined {
  if (world.autoscaler === undefined) return undefined;
  const spec = fieldsOf(world.autoscaler["spec"]);
  const { namespace = "" } = world.object;
  const maxReplicas = Math.max(typeof spec["maxReplicas"] === "number" ? spec["maxReplicas"] : 1, minReplicas);
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
      maxReplicas,
      minReplicas,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: copyName(target, "canary") },
    },
  };
}

/** A Service as the one that clients call, for some of its pods. */
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
