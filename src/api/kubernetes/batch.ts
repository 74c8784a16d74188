import { defineKind } from "../kind.ts";
import type { KubernetesObject, LabelSelector, ObjectMeta } from "../meta.ts";
import type { PodTemplate } from "./apps.ts";

/** What a Job does about a failed pod that a rule matches. The first rule that matches decides. */
export interface PodFailurePolicy {
  rules: {
    action: "Count" | "FailIndex" | "FailJob" | "Ignore";
    onExitCodes?: { containerName?: string; operator: "In" | "NotIn"; values: number[] };
    onPodConditions?: { type: string; status?: "True" | "False" | "Unknown" }[];
  }[];
}

/**
 * The rules by which an indexed Job succeeds before all of its indexes have succeeded. One fulfilled rule is enough.
 */
export interface SuccessPolicy {
  rules: { succeededIndexes?: string; succeededCount?: number }[];
}

export interface JobSpec {
  parallelism?: number;
  completions?: number;
  completionMode?: "NonIndexed" | "Indexed";
  backoffLimit?: number;
  backoffLimitPerIndex?: number;
  maxFailedIndexes?: number;
  podFailurePolicy?: PodFailurePolicy;
  podReplacementPolicy?: "TerminatingOrFailed" | "Failed";
  successPolicy?: SuccessPolicy;
  activeDeadlineSeconds?: number;
  ttlSecondsAfterFinished?: number;
  suspend?: boolean;
  managedBy?: string;
  manualSelector?: boolean;
  selector?: LabelSelector;
  template: PodTemplate;
}

export interface JobCondition {
  type: "Complete" | "Failed" | "Suspended" | "SuccessCriteriaMet" | "FailureTarget";
  status: "True" | "False" | "Unknown";
  reason?: string;
  message?: string;
  lastProbeTime?: string;
  lastTransitionTime?: string;
}

export interface Job extends KubernetesObject {
  spec?: JobSpec;
  status?: {
    active?: number;
    ready?: number;
    succeeded?: number;
    failed?: number;
    terminating?: number;
    startTime?: string;
    completionTime?: string;
    completedIndexes?: string;
    failedIndexes?: string;
    conditions?: JobCondition[];
    uncountedTerminatedPods?: Record<string, string[]>;
  };
}

export const jobKind = defineKind<Job>({
  group: "batch",
  versions: ["v1"],
  kind: "Job",
  plural: "jobs",
  namespaced: true,
});

export interface CronJob extends KubernetesObject {
  spec?: {
    schedule: string;
    timeZone?: string;
    suspend?: boolean;
    concurrencyPolicy?: "Allow" | "Forbid" | "Replace";
    startingDeadlineSeconds?: number;
    successfulJobsHistoryLimit?: number;
    failedJobsHistoryLimit?: number;
    jobTemplate: { metadata?: ObjectMeta; spec?: JobSpec };
  };
  status?: {
    active?: { kind?: string; name?: string; namespace?: string; uid?: string }[];
    lastScheduleTime?: string;
    lastSuccessfulTime?: string;
  };
}

export const cronJobKind = defineKind<CronJob>({
  group: "batch",
  versions: ["v1"],
  kind: "CronJob",
  plural: "cronjobs",
  namespaced: true,
});

export interface AutoscalerTarget {
  type: string;
  averageUtilization?: number;
  averageValue?: string;
  value?: string;
}

/** A metric of an autoscaler. Only the sources that need no other metrics API have types here. */
export interface AutoscalerMetric extends Record<string, unknown> {
  type: string;
  resource?: { name: string; target: AutoscalerTarget };
  containerResource?: { name: string; container: string; target: AutoscalerTarget };
}

export interface AutoscalerRules {
  stabilizationWindowSeconds?: number;
  selectPolicy?: "Max" | "Min" | "Disabled";
  policies?: { type: "Pods" | "Percent"; value: number; periodSeconds: number }[];
  tolerance?: string;
}

export interface AutoscalerCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
}

export interface HorizontalPodAutoscaler extends KubernetesObject {
  spec?: {
    scaleTargetRef: { apiVersion?: string; kind: string; name: string };
    minReplicas?: number;
    maxReplicas: number;
    metrics?: AutoscalerMetric[];
    behavior?: { scaleUp?: AutoscalerRules; scaleDown?: AutoscalerRules };
  };
  status?: {
    observedGeneration?: number;
    lastScaleTime?: string;
    currentReplicas?: number;
    desiredReplicas?: number;
    conditions?: AutoscalerCondition[];
    currentMetrics?: Record<string, unknown>[];
  };
}

export const horizontalPodAutoscalerKind = defineKind<HorizontalPodAutoscaler>({
  group: "autoscaling",
  versions: ["v2"],
  kind: "HorizontalPodAutoscaler",
  plural: "horizontalpodautoscalers",
  namespaced: true,
});
