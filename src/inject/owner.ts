import type { Pod } from "../api/kubernetes/index.ts";

/** The owner of a pod, as far as the pod's metadata shows it. */
export interface PodOwner {
  readonly name: string;
  readonly apiVersion: string;
  readonly kind: string;
}

const hashLabels = ["pod-template-hash", "rollouts-pod-template-hash"];

/** Derives the Deployment of a ReplicaSet, and the CronJob of a Job, from the ends of their names. */
export function ownerOf(pod: Pod): PodOwner {
  const { metadata } = pod;
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (owner === undefined)
    return { name: metadata.name ?? (metadata.generateName ?? "").replace(/-$/, ""), apiVersion: "v1", kind: "Pod" };
  if (owner.kind === "ReplicaSet") {
    const hash = hashLabels
      .map((label) => metadata.labels?.[label])
      .find((value) => value !== undefined && owner.name.endsWith(`-${value}`));
    if (hash === undefined) return owner;
    const isRollout = metadata.labels?.["rollouts-pod-template-hash"] === hash;
    const name = owner.name.slice(0, -hash.length - 1);
    return isRollout
      ? { name, apiVersion: "argoproj.io/v1alpha1", kind: "Rollout" }
      : { name, apiVersion: owner.apiVersion, kind: "Deployment" };
  }
  if (owner.kind === "Job") {
    const scheduled = /^(.+)-\d{8,10}$/.exec(owner.name)?.[1];
    return scheduled === undefined ? owner : { name: scheduled, apiVersion: owner.apiVersion, kind: "CronJob" };
  }
  return owner;
}
