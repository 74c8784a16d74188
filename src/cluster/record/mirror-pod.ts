import type { KubernetesObject } from "../../api/index.ts";

export const mirrorAnnotation = "kubernetes.io/config.mirror";

/** Whether a pod only represents a part of the cluster that is started without the API server. */
export function isMirrorPod(pod: KubernetesObject): boolean {
  return pod.metadata.annotations?.[mirrorAnnotation] !== undefined;
}
