import type { Pod } from "../../api/kubernetes/index.ts";
import { probeNamespace } from "../plan/index.ts";

/** Whether the pod has not ended, is not ending, and is not one of the engine's probes. */
export function isInUse({ metadata, status }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    metadata.namespace !== probeNamespace &&
    status?.phase !== "Succeeded" &&
    status?.phase !== "Failed"
  );
}

export function podName({ metadata }: Pick<Pod, "metadata">): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}
