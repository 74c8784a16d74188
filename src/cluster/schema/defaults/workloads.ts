import { arrayOf, isObject, objectOf, type JsonObject } from "../json.ts";
import { fill, type Defaulters } from "./default-types.ts";

const maxInt32 = 2 ** 31 - 1;

/** The object in the field. It is created if it is absent, so that defaults can be filled into it. */
function within(value: JsonObject, field: string): JsonObject {
  const present = value[field];
  if (isObject(present)) return present;
  const made: JsonObject = {};
  value[field] = made;
  return made;
}

function deployment(value: JsonObject): void {
  const spec = within(value, "spec");
  fill(spec, "replicas", 1);
  const strategy = within(spec, "strategy");
  fill(strategy, "type", "RollingUpdate");
  if (strategy.type === "RollingUpdate") {
    const rolling = within(strategy, "rollingUpdate");
    rolling.maxUnavailable ??= "25%";
    rolling.maxSurge ??= "25%";
  }
  fill(spec, "revisionHistoryLimit", 10);
  fill(spec, "progressDeadlineSeconds", 600);
}

/** The annotation that counts changes of the template. Older clients read it. */
export const templateGeneration = "deprecated.daemonset.template.generation";

function daemonSet(value: JsonObject): void {
  const annotations = within(within(value, "metadata"), "annotations");
  annotations[templateGeneration] ??= "1";
  const spec = within(value, "spec");
  const strategy = within(spec, "updateStrategy");
  fill(strategy, "type", "RollingUpdate");
  if (strategy.type === "RollingUpdate") {
    const rolling = within(strategy, "rollingUpdate");
    rolling.maxUnavailable ??= 1;
    rolling.maxSurge ??= 0;
  }
  fill(spec, "revisionHistoryLimit", 10);
}

function statefulSet(value: JsonObject): void {
  const spec = within(value, "spec");
  fill(spec, "podManagementPolicy", "OrderedReady");
  const strategy = within(spec, "updateStrategy");
  if (strategy.type === undefined || strategy.type === "") {
    strategy.type = "RollingUpdate";
    within(strategy, "rollingUpdate");
  }
  if (strategy.type === "RollingUpdate" && isObject(strategy.rollingUpdate)) {
    strategy.rollingUpdate.partition ??= 0;
  }
  for (const claim of arrayOf(spec.volumeClaimTemplates)) {
    if (!isObject(claim)) continue;
    claim.kind ??= "PersistentVolumeClaim";
    claim.apiVersion ??= "v1";
  }
  const retention = within(spec, "persistentVolumeClaimRetentionPolicy");
  fill(retention, "whenDeleted", "Retain");
  fill(retention, "whenScaled", "Retain");
  fill(spec, "replicas", 1);
  fill(spec, "revisionHistoryLimit", 10);
}

function job(value: JsonObject): void {
  const spec = within(value, "spec");
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  fill(spec, "parallelism", 1);
  fill(spec, "backoffLimit", spec.backoffLimitPerIndex === undefined ? 6 : maxInt32);
  const labels = objectOf(objectOf(spec.template).metadata).labels;
  const metadata = within(value, "metadata");
  if (isObject(labels) && Object.keys(objectOf(metadata.labels)).length === 0) metadata.labels = { ...labels };
  fill(spec, "completionMode", "NonIndexed");
  fill(spec, "suspend", false);
  fill(spec, "podReplacementPolicy", spec.podFailurePolicy === undefined ? "TerminatingOrFailed" : "Failed");
  fill(spec, "manualSelector", false);
}

function cronJob(value: JsonObject): void {
  const spec = within(value, "spec");
  fill(spec, "concurrencyPolicy", "Allow");
  fill(spec, "suspend", false);
  fill(spec, "successfulJobsHistoryLimit", 3);
  fill(spec, "failedJobsHistoryLimit", 1);
}

export const workloadDefaulters: Defaulters = {
  "apps.v1.Deployment": deployment,
  "apps.v1.DaemonSet": daemonSet,
  "apps.v1.StatefulSet": statefulSet,
  "apps.v1.ReplicaSet": (value) => fill(within(value, "spec"), "replicas", 1),
  "batch.v1.Job": job,
  "batch.v1.CronJob": cronJob,
  "batch.v1.PodFailurePolicyOnPodConditionsPattern": (value) => fill(value, "status", "True"),
};
