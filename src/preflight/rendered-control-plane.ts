import { istioLabels } from "../api/istio/index.ts";
import type { Environment } from "../base/index.ts";
import type { UntypedObject } from "../api/index.ts";
import type { PodTemplate } from "../api/kubernetes/index.ts";
import { releaseOfImage } from "../install/index.ts";
import { shadowEnvironment } from "./shadow/shadow-pilot.ts";

export interface RenderedControlPlane {
  readonly objects: readonly UntypedObject[];
  readonly namespace: string;
  readonly version: string;
  readonly mesh: string;
  readonly env: Environment;
  readonly injector: { readonly config: string; readonly values: string };
}

/** How many pods a control plane begins with, and the object that decides on the number. */
export interface PilotPods {
  readonly name: string;
  readonly namespace: string;
  readonly count: number;
  readonly isAutoscaled: boolean;
}

interface Scaled {
  readonly replicas?: number;
  readonly minReplicas?: number;
  readonly scaleTargetRef?: { readonly kind?: string; readonly name?: string };
}

/**
 * How many pods the revision's control plane begins with. Undefined if the objects contain no control plane of the
 * revision.
 */
export function pilotPodsOf(objects: readonly UntypedObject[], revision: string): PilotPods | undefined {
  const deployment = deploymentOf(objects, revision);
  if (deployment === undefined) return undefined;
  const { name = "", namespace = "" } = deployment.metadata;
  const autoscaler = objects
    .filter(({ kind, metadata }) => kind === "HorizontalPodAutoscaler" && metadata.namespace === namespace)
    .map((object) => (object["spec"] ?? {}) as Scaled)
    .find(({ scaleTargetRef }) => scaleTargetRef?.kind === "Deployment" && scaleTargetRef.name === name);
  const { replicas = autoscaler?.minReplicas ?? 1 } = (deployment["spec"] ?? {}) as Scaled;
  return { name, namespace, count: replicas, isAutoscaled: autoscaler !== undefined };
}

export function isControlPlane({ kind, metadata }: UntypedObject): boolean {
  return kind === "Deployment" && metadata.labels?.["app"] === "istiod";
}

export function rendersZtunnel(objects: readonly UntypedObject[], revision: string): boolean {
  return objects.some((object) => {
    if (object.kind !== "DaemonSet") return false;
    const { template } = (object["spec"] ?? {}) as { readonly template?: Pick<UntypedObject, "metadata"> };
    return isZtunnelOf(template?.metadata.labels, revision);
  });
}

export function isZtunnelOf(labels: Readonly<Record<string, string>> | undefined, revision: string): boolean {
  return labels?.["app"] === "ztunnel" && (labels[istioLabels.revision] ?? "default") === revision;
}

export function controlPlaneOf(objects: readonly UntypedObject[], revision: string): RenderedControlPlane | undefined {
  const deployment = deploymentOf(objects, revision);
  if (deployment === undefined) return undefined;
  const { name = "", namespace = "" } = deployment.metadata;
  const suffix = name.replace(/^istiod/, "");
  const dataOf = (map: string): Readonly<Record<string, string>> => {
    const found = objects.find(
      ({ kind, metadata }) =>
        kind === "ConfigMap" && metadata.name === `${map}${suffix}` && metadata.namespace === namespace,
    );
    return (found?.["data"] as Readonly<Record<string, string>> | undefined) ?? {};
  };
  const template = (deployment["spec"] as { readonly template?: PodTemplate } | undefined)?.template;
  const injector = dataOf("istio-sidecar-injector");
  const image = template?.spec?.containers.find((container) => container.name === "discovery")?.image ?? "";
  return {
    objects,
    namespace,
    version: releaseOfImage(image) ?? "",
    mesh: dataOf("istio")["mesh"] ?? "",
    env: shadowEnvironment(template),
    injector: { config: injector["config"] ?? "", values: injector["values"] ?? "" },
  };
}

function deploymentOf(objects: readonly UntypedObject[], revision: string): UntypedObject | undefined {
  return objects.find(
    (object) => isControlPlane(object) && (object.metadata.labels?.[istioLabels.revision] ?? "default") === revision,
  );
}
