import type { Pod } from "../../api/kubernetes/index.ts";
import { probeNamespace } from "../plan/index.ts";

/** Whether a pod of an application or of the mesh has not ended, and is not ending. */
export function isInUse({ metadata, status }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    metadata.namespace !== probeNamespace &&
    status?.phase !== "Succeeded" &&
    status?.phase !== "Failed"
  );
}

/** The pod's name for people, such as `shop/web-1`. */
export function podName({ metadata }: Pick<Pod, "metadata">): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}
