import { isFinishedPod, type Namespace, type Pod } from "../api/kubernetes/index.ts";
import type { CaptureOptions } from "./capture-rules.ts";

const dataplaneModeLabel = "istio.io/dataplane-mode";
export const redirectionAnnotation = "ambient.istio.io/redirection";
const dnsCaptureAnnotation = "ambient.istio.io/dns-capture";
const sidecarStatusAnnotation = "sidecar.istio.io/status";

export function isAmbientNamespace(namespace: Namespace | undefined): boolean {
  return namespace?.metadata.labels?.[dataplaneModeLabel] === "ambient";
}

/**
 * Whether a pod belongs to the mesh. The pod's label overrides that of its namespace. Pods on the host's network and
 * pods with a sidecar never belong to it.
 */
export function isAmbientPod(pod: Pod, namespace: Namespace | undefined): boolean {
  if (pod.spec?.hostNetwork === true || isFinishedPod(pod)) return false;
  if (pod.metadata.annotations?.[sidecarStatusAnnotation] !== undefined) return false;
  const mode = pod.metadata.labels?.[dataplaneModeLabel];
  if (mode === "ambient") return true;
  return mode !== "none" && isAmbientNamespace(namespace);
}

/** Whether this agent or an earlier one has recorded in an annotation that it captures the pod's traffic. */
export function wasCaptured(pod: Pod): boolean {
  return pod.metadata.annotations?.[redirectionAnnotation] === "enabled" && !isFinishedPod(pod);
}

/** Returns how to capture a pod. `dns` is the node's default, which the pod's annotation overrides. */
export function captureOptionsOf(pod: Pod, { dns, ipv6 }: Pick<CaptureOptions, "dns" | "ipv6">): CaptureOptions {
  const annotations = pod.metadata.annotations ?? {};
  return {
    dns: dns ? annotations[dnsCaptureAnnotation] !== "false" : annotations[dnsCaptureAnnotation] === "true",
    bypassInbound: annotations["ambient.istio.io/bypass-inbound-capture"] === "true",
    ipv6,
  };
}

export function addressesOf(pod: Pod): string[] {
  const many = pod.status?.podIPs?.map((entry) => entry.ip) ?? [];
  const single = pod.status?.podIP;
  return many.length > 0 || single === undefined || single === "" ? many : [single];
}
