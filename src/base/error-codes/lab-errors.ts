import type { ErrorEntry } from "./error-entry.ts";

export const labErrors = {
  "cluster-not-found": {
    meaning: "There is no lab cluster of this name.",
    remedy: "`serin cluster list` shows the clusters.",
  },
  "cluster-exists": {
    meaning: "A lab cluster of this name exists already.",
    remedy: "Delete the cluster, or choose another name.",
  },
  "cluster-starting": {
    meaning: "The lab cluster is still starting.",
    remedy: "Try again in a second.",
  },
  "cluster-stopped": {
    meaning: "The lab cluster no longer runs.",
    remedy: "Look at its logs, delete it and create it again.",
  },
  "cluster-slow": {
    meaning: "The lab cluster was not ready in time.",
    remedy: "Read the last lines of its log in the message. The machine may be busy.",
    silent: true,
  },
  "cluster-record": {
    meaning: "The record of a lab cluster has vanished or is incomplete.",
    remedy: "Delete the cluster and create it again.",
  },
  "lab-not-started": {
    meaning: "The first programs of the lab did not start.",
    remedy: "`serin doctor` says what the machine lacks.",
  },
  "launcher-failed": {
    meaning: "The lab's launcher or supervisor failed.",
    remedy: "Look at the lab's logs.",
  },
  "machine-lacks": {
    meaning: "The machine lacks something that a lab needs.",
    remedy: "`serin doctor` names what is missing.",
  },
  "storage-failed": {
    meaning: "The lab's API server could not store an object.",
    remedy: "Check the free space of the cluster's state directory.",
  },
  "range-full": {
    meaning: "All addresses or ports of a range are taken.",
    remedy: "Delete Services or pods that are no longer needed.",
  },
  "container-start-failed": {
    meaning: "The kernel refused to start a process of a pod.",
    remedy: "Check the limits of processes and memory.",
  },
  "container-waiting": {
    meaning: "The container does not run, or has not run before.",
    remedy: "Wait until it has started.",
  },
  "hook-failed": {
    meaning: "A hook or a probe of a container failed.",
    remedy: "Look at the container's log.",
  },
  "volume-invalid": {
    meaning: "A volume or mount of a pod cannot be used.",
    remedy: "Correct the volume that the message names.",
    silent: true,
  },
  "volume-source-missing": {
    meaning: "The source of a pod's volume does not exist.",
    remedy: "Create the ConfigMap, Secret or claim.",
  },
  "system-call": {
    meaning: "A call of the kernel failed. The error's `reason` contains the kernel's error name.",
    remedy: "`serin doctor` checks what the lab needs of the kernel.",
  },
  "image-unknown": {
    meaning: "There is no such image.",
    remedy: "`serin image list` shows the images.",
  },
  "image-name-invalid": {
    meaning: "The name is not a valid image name.",
    remedy: "Correct the name.",
  },
  "image-names-clash": {
    meaning: "Two images would have the same name.",
    remedy: "Choose another hub or tag.",
  },
  "image-layout-invalid": {
    meaning: "The directory is not a complete layout of images.",
    remedy: "Build the layout again.",
  },
  "image-architecture": {
    meaning: "The image does not exist for this architecture.",
    remedy: "Choose an architecture that the message names.",
    silent: true,
  },
  "image-program-unseen": {
    meaning: "Containers cannot see the program of an image.",
    remedy: "Put the program into a directory that the lab shares with containers.",
  },
  "image-import-failed": {
    meaning: "The program `ctr` of containerd could not import the images.",
    remedy: "Run the command on a node as root.",
  },
  "registry-refused": {
    meaning: "The registry of images refused a request.",
    remedy: "Check the credentials, the repository and the registry's certificate.",
  },
  "registry-unreachable": {
    meaning: "The registry of images cannot be reached.",
    remedy: "Check the address.",
  },
  "registry-busy": {
    meaning: "The registry of images cannot answer now.",
    remedy: "Try again. Blobs that have already arrived are not sent again.",
  },
  "credential-helper": {
    meaning: "The program that keeps registry credentials has none for the registry, or its answer is unreadable.",
    remedy: "Log in to the registry.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
