import { defineKind } from "../kind.ts";
import type { Condition, KubernetesObject, LabelSelector, ObjectMeta } from "../meta.ts";
import type { Pod, PodSpec } from "./core.ts";
import type { PersistentVolumeClaim } from "./others.ts";

export interface PodTemplate {
  metadata?: ObjectMeta;
  spec?: PodSpec;
}

export interface Deployment extends KubernetesObject {
  spec?: {
    replicas?: number;
    selector: LabelSelector;
    template: PodTemplate;
    strategy?: {
      type?: "RollingUpdate" | "Recreate";
      rollingUpdate?: { maxSurge?: number | string; maxUnavailable?: number | string };
    };
    minReadySeconds?: number;
    revisionHistoryLimit?: number;
    progressDeadlineSeconds?: number;
    paused?: boolean;
  };
  status?: {
    observedGeneration?: number;
    replicas?: number;
    updatedReplicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    unavailableReplicas?: number;
    conditions?: (Omit<Condition, "observedGeneration"> & { lastUpdateTime?: string })[];
  };
}

export const deploymentKind = defineKind<Deployment>({
  group: "apps",
  versions: ["v1"],
  kind: "Deployment",
  plural: "deployments",
  namespaced: true,
});

export interface ReplicaSet extends KubernetesObject {
  spec?: { replicas?: number; selector: LabelSelector; template?: PodTemplate; minReadySeconds?: number };
  status?: {
    observedGeneration?: number;
    replicas: number;
    fullyLabeledReplicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    terminatingReplicas?: number;
    conditions?: Omit<Condition, "observedGeneration">[];
  };
}

export const replicaSetKind = defineKind<ReplicaSet>({
  group: "apps",
  versions: ["v1"],
  kind: "ReplicaSet",
  plural: "replicasets",
  namespaced: true,
});

export interface DaemonSet extends KubernetesObject {
  spec?: {
    selector: LabelSelector;
    template: PodTemplate;
    updateStrategy?: {
      type?: "RollingUpdate" | "OnDelete";
      rollingUpdate?: { maxSurge?: number | string; maxUnavailable?: number | string };
    };
    minReadySeconds?: number;
    revisionHistoryLimit?: number;
  };
  status?: {
    observedGeneration?: number;
    currentNumberScheduled: number;
    desiredNumberScheduled: number;
    numberMisscheduled: number;
    numberReady: number;
    updatedNumberScheduled?: number;
    numberAvailable?: number;
    numberUnavailable?: number;
  };
}

export const daemonSetKind = defineKind<DaemonSet>({
  group: "apps",
  versions: ["v1"],
  kind: "DaemonSet",
  plural: "daemonsets",
  namespaced: true,
});

export interface StatefulSet extends KubernetesObject {
  spec?: {
    replicas?: number;
    selector: LabelSelector;
    template: PodTemplate;
    serviceName?: string;
    podManagementPolicy?: "OrderedReady" | "Parallel";
    updateStrategy?: {
      type?: "RollingUpdate" | "OnDelete";
      rollingUpdate?: { partition?: number; maxUnavailable?: number | string };
    };
    minReadySeconds?: number;
    revisionHistoryLimit?: number;
    ordinals?: { start?: number };
    volumeClaimTemplates?: PersistentVolumeClaim[];
    persistentVolumeClaimRetentionPolicy?: { whenDeleted?: "Retain" | "Delete"; whenScaled?: "Retain" | "Delete" };
  };
  status?: {
    observedGeneration?: number;
    replicas: number;
    readyReplicas?: number;
    currentReplicas?: number;
    updatedReplicas?: number;
    availableReplicas?: number;
    currentRevision?: string;
    updateRevision?: string;
    collisionCount?: number;
  };
}

export const statefulSetKind = defineKind<StatefulSet>({
  group: "apps",
  versions: ["v1"],
  kind: "StatefulSet",
  plural: "statefulsets",
  namespaced: true,
});

export interface ControllerRevision extends KubernetesObject {
  data?: Record<string, unknown>;
  revision: number;
}

export const controllerRevisionKind = defineKind<ControllerRevision>({
  group: "apps",
  versions: ["v1"],
  kind: "ControllerRevision",
  plural: "controllerrevisions",
  namespaced: true,
});

interface UpdatedSpec {
  readonly replicas?: number;
  readonly strategy?: {
    readonly type?: string;
    readonly rollingUpdate?: { readonly maxUnavailable?: number | string };
  };
  readonly updateStrategy?: {
    readonly rollingUpdate?: { readonly maxUnavailable?: number | string; readonly maxSurge?: number | string };
  };
}

/** The number of pods that an update of a workload with this spec removes before their successors are ready. */
export function podsTakenAtOnce(kind: string, spec: unknown): number {
  const { replicas = 1, strategy, updateStrategy } = (spec ?? {}) as UpdatedSpec;
  if (kind === "Deployment") {
    if (strategy?.type === "Recreate") return replicas;
    return shareOf(strategy?.rollingUpdate?.maxUnavailable ?? "25%", replicas);
  }
  if (kind === "DaemonSet" && shareOf(updateStrategy?.rollingUpdate?.maxSurge ?? 0, 100) > 0) return 0;
  return Math.max(1, shareOf(updateStrategy?.rollingUpdate?.maxUnavailable ?? 1, replicas));
}

/** A number of unavailable pods, or a percentage of them, which is rounded down. */
function shareOf(value: number | string, total: number): number {
  if (typeof value === "number") return value;
  return value.endsWith("%") ? Math.floor((Number(value.slice(0, -1)) * total) / 100) : Number(value);
}

/** The object from which a user got a pod: its Deployment, for example, or the pod itself. */
export interface PodWorkload {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
}

/** The labels that repeat the hash at the end of a ReplicaSet's name, each with the kind of the ReplicaSet's owner. */
const templateHashes = [
  { label: "rollouts-pod-template-hash", kind: "Rollout", apiVersion: "argoproj.io/v1alpha1" },
  { label: "pod-template-hash", kind: "Deployment", apiVersion: "apps/v1" },
] as const;

/**
 * The workload of a pod, found from the pod alone. The name of a ReplicaSet shows its Deployment or Rollout, and the
 * name of a Job shows its CronJob. Istio does the same, and its proxies report these names in their metrics.
 */
export function workloadOfPod({ metadata }: Pod): PodWorkload {
  const controller = metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (controller === undefined)
    return { apiVersion: "v1", kind: "Pod", name: metadata.name ?? (metadata.generateName ?? "").replace(/-$/, "") };
  if (controller.kind === "ReplicaSet") {
    for (const { label, kind, apiVersion } of templateHashes) {
      const hash = metadata.labels?.[label];
      if (hash !== undefined && controller.name.endsWith(`-${hash}`))
        return { apiVersion, kind, name: controller.name.slice(0, -hash.length - 1) };
    }
  }
  return controller.kind === "Job" ? workloadOfJob(controller) : controller;
}

/**
 * The workload of a Job's pods. As in Istio, the digits at the end of the Job's name alone show that a CronJob made it,
 * because a pod names only its Job.
 */
export function workloadOfJob(job: PodWorkload): PodWorkload {
  const cronJob = /^(.+)-\d{8,10}$/.exec(job.name)?.[1];
  return cronJob === undefined ? job : { apiVersion: job.apiVersion, kind: "CronJob", name: cronJob };
}
