import { normalize } from "node:path";
import type { PersistentVolume, PersistentVolumeClaim, Volume } from "../../../api/kubernetes/index.ts";
import { transientError, userError } from "../../../base/index.ts";

export interface ClaimSources {
  readonly claim: (name: string) => PersistentVolumeClaim | undefined;
  readonly volume: (name: string) => PersistentVolume | undefined;
}

/**
 * Paths that a volume may not have: the root, and the kernel's file systems. The latter cannot store data, and all
 * nodes of the lab share them.
 */
const refusedPaths = ["/", "/proc", "/sys", "/dev"];

/**
 * The directory of the volume to which the pod's claim is bound, as a hostPath volume. Throws if the claim is not
 * bound, or if the lab cannot mount the volume.
 */
export function claimedVolume(volume: Volume, { claim: claimOf, volume: volumeOf }: ClaimSources): Volume {
  const claimName = volume.persistentVolumeClaim?.claimName ?? "";
  const claim = claimOf(claimName);
  if (claim === undefined)
    throw transientError("volume-source-missing", `persistentvolumeclaim "${claimName}" not found`);
  const { volumeName = "" } = claim.spec ?? {};
  const bound = volumeOf(volumeName);
  if (claim.status?.phase !== "Bound" || bound === undefined || bound.spec?.claimRef?.uid !== claim.metadata.uid)
    throw transientError("volume-source-missing", `persistentvolumeclaim "${claimName}" is not bound`);
  const { hostPath, local, volumeMode } = bound.spec ?? {};
  const path = hostPath?.path ?? local?.path;
  if (path === undefined || volumeMode === "Block")
    throw userError(
      "volume-invalid",
      `persistentvolume "${volumeName}" has a type that the lab does not support; use spec.hostPath or spec.local`,
    );
  const requestedPath = normalize(path);
  if (!requestedPath.startsWith("/") || refusedPaths.some((refused) => isAtOrBelow(requestedPath, refused)))
    throw userError(
      "volume-invalid",
      `persistentvolume "${volumeName}": path "${path}" is not a directory for data; use a path such as /srv/data`,
    );
  return { name: volume.name, hostPath: { path: requestedPath, type: hostPath?.type ?? "DirectoryOrCreate" } };
}

function isAtOrBelow(path: string, parent: string): boolean {
  return path === parent || (parent !== "/" && path.startsWith(`${parent}/`));
}
