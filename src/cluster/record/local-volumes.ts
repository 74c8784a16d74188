import type { PersistentVolume } from "../../api/kubernetes/index.ts";

/**
 * The settings of the volumes that the lab makes, which controllers and nodes share. Each volume is a directory on one
 * node.
 */
export const localVolumes = {
  /** The name of the default StorageClass. It is the same as in kind. */
  className: "standard",
  provisioner: "lab.serin.dev/local-directory",
  /** The directory of all volumes, below a node's host root. */
  directory: "/var/lib/serin/volumes",
  /** The maximum number of volumes that a lab makes. */
  maxVolumes: 256,
  /** The largest size that a claim may request. The lab records sizes and does not enforce them. */
  maxSize: "1Ti",
} as const;

/** The annotations of volumes and claims, with Kubernetes' names. */
export const volumeAnnotations = {
  provisionedBy: "pv.kubernetes.io/provisioned-by",
  selectedNode: "volume.kubernetes.io/selected-node",
  provisioner: "volume.kubernetes.io/storage-provisioner",
  bindCompleted: "pv.kubernetes.io/bind-completed",
  boundByController: "pv.kubernetes.io/bound-by-controller",
  defaultClass: "storageclass.kubernetes.io/is-default-class",
} as const;

/** The finalizers that keep claims and volumes from being removed while they are in use. */
export const volumeFinalizers = {
  claim: "kubernetes.io/pvc-protection",
  volume: "kubernetes.io/pv-protection",
} as const;

export function localVolumePath(volumeName: string): string {
  return `${localVolumes.directory}/${volumeName}`;
}

/** Whether the lab made the volume. The lab then also deletes its directory. */
export function isLocalVolume({ metadata, spec }: PersistentVolume): boolean {
  return (
    metadata.annotations?.[volumeAnnotations.provisionedBy] === localVolumes.provisioner &&
    spec?.hostPath?.path === localVolumePath(metadata.name ?? "")
  );
}
