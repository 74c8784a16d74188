import { stringOf } from "../../../base/index.ts";
import { groupVersionOf, type UntypedObject } from "../../../api/index.ts";
import { ageOf, humanDuration } from "../human-duration.ts";
import { at, containerCells, count, labelsText, none, objectsAt, selectorText, textOr, unset } from "./cell-text.ts";
import { columns, type TableForm } from "./column.ts";

const age = (object: UntypedObject, nowMs: number): string => ageOf(object.metadata.creationTimestamp, nowMs);
const status = (object: UntypedObject, field: string): number => count(at(object.status, field));
const podSpec = (object: UntypedObject): unknown => at(object.spec, "template", "spec");
const selector = (object: UntypedObject): string => selectorText(at(object.spec, "selector"));

function jobStatus(job: UntypedObject): string {
  const holds = (type: string): boolean =>
    objectsAt(job.status, "conditions").some((condition) => condition.type === type && condition.status === "True");
  if (holds("Complete")) return "Complete";
  if (holds("Failed")) return "Failed";
  if (job.metadata.deletionTimestamp !== undefined) return "Terminating";
  return ["Suspended", "FailureTarget", "SuccessCriteriaMet"].find(holds) ?? "Running";
}

function jobCompletions(job: UntypedObject): string {
  const succeeded = status(job, "succeeded");
  const completions = at(job.spec, "completions");
  if (typeof completions === "number") return `${succeeded}/${completions}`;
  const parallelism = count(at(job.spec, "parallelism"));
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function jobDuration(job: UntypedObject, nowMs: number): string {
  const started = Date.parse(stringOf(at(job.status, "startTime")));
  const ended = Date.parse(stringOf(at(job.status, "completionTime")));
  return Number.isNaN(started) ? "" : humanDuration((Number.isNaN(ended) ? nowMs : ended) - started);
}

function controllerName(object: UntypedObject): string {
  const owner = object.metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (owner === undefined) return none;
  const { group } = groupVersionOf(owner.apiVersion);
  return `${owner.kind.toLowerCase()}${group === "" ? "" : `.${group}`}/${owner.name}`;
}

export const workloadTables: Readonly<Record<string, TableForm>> = {
  "apps/controllerrevisions": {
    columns: columns("Name|Controller|Revision|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      controllerName(object),
      count(object.revision),
      age(object, nowMs),
    ],
  },
  "apps/daemonsets": {
    columns: columns(
      "Name|Desired:integer|Current:integer|Ready:integer|Up-to-date:integer|Available:integer|Node Selector|Age|Containers*|Images*|Selector*",
    ),
    cells: (object, nowMs) => [
      object.metadata.name,
      status(object, "desiredNumberScheduled"),
      status(object, "currentNumberScheduled"),
      status(object, "numberReady"),
      status(object, "updatedNumberScheduled"),
      status(object, "numberAvailable"),
      labelsText(at(podSpec(object), "nodeSelector")),
      age(object, nowMs),
      ...containerCells(podSpec(object)),
      selector(object),
    ],
  },
  "apps/deployments": {
    columns: columns("Name|Ready|Up-to-date|Available|Age|Containers*|Images*|Selector*"),
    cells: (object, nowMs) => [
      object.metadata.name,
      `${status(object, "readyReplicas")}/${count(at(object.spec, "replicas"))}`,
      status(object, "updatedReplicas"),
      status(object, "availableReplicas"),
      age(object, nowMs),
      ...containerCells(podSpec(object)),
      selector(object),
    ],
  },
  "apps/replicasets": {
    columns: columns("Name|Desired:integer|Current:integer|Ready:integer|Age|Containers*|Images*|Selector*"),
    cells: (object, nowMs) => [
      object.metadata.name,
      count(at(object.spec, "replicas")),
      status(object, "replicas"),
      status(object, "readyReplicas"),
      age(object, nowMs),
      ...containerCells(podSpec(object)),
      selector(object),
    ],
  },
  "apps/statefulsets": {
    columns: columns("Name|Ready|Age|Containers*|Images*"),
    cells: (object, nowMs) => [
      object.metadata.name,
      `${status(object, "readyReplicas")}/${count(at(object.spec, "replicas"))}`,
      age(object, nowMs),
      ...containerCells(podSpec(object)),
    ],
  },
  "batch/cronjobs": {
    columns: columns(
      "Name|Schedule|Timezone|Suspend:boolean|Active:integer|Last Schedule|Age|Containers*|Images*|Selector*",
    ),
    cells: (object, nowMs) => {
      const last = at(object.status, "lastScheduleTime");
      return [
        object.metadata.name,
        stringOf(at(object.spec, "schedule")),
        textOr(at(object.spec, "timeZone"), none),
        at(object.spec, "suspend") === true ? "True" : "False",
        objectsAt(object.status, "active").length,
        last === undefined ? none : ageOf(last, nowMs),
        age(object, nowMs),
        ...containerCells(at(object.spec, "jobTemplate", "spec", "template", "spec")),
        selectorText(at(object.spec, "jobTemplate", "spec", "selector")),
      ];
    },
  },
  "batch/jobs": {
    columns: columns("Name|Status|Completions|Duration|Age|Containers*|Images*|Selector*"),
    cells: (object, nowMs) => [
      object.metadata.name,
      jobStatus(object),
      jobCompletions(object),
      jobDuration(object, nowMs),
      age(object, nowMs),
      ...containerCells(podSpec(object)),
      selector(object),
    ],
  },
  "policy/poddisruptionbudgets": {
    columns: columns("Name|Min Available|Max Unavailable|Allowed Disruptions:integer|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      textOr(at(object.spec, "minAvailable"), "N/A"),
      textOr(at(object.spec, "maxUnavailable"), "N/A"),
      status(object, "disruptionsAllowed"),
      age(object, nowMs),
    ],
  },
  "autoscaling/horizontalpodautoscalers": {
    columns: columns("Name|Reference|Targets|MinPods|MaxPods|Replicas|Age"),
    cells: (object, nowMs) => [
      object.metadata.name,
      `${stringOf(at(object.spec, "scaleTargetRef", "kind"))}/${stringOf(at(object.spec, "scaleTargetRef", "name"))}`,
      autoscalerTargets(object),
      textOr(at(object.spec, "minReplicas"), unset),
      count(at(object.spec, "maxReplicas")),
      status(object, "currentReplicas"),
      age(object, nowMs),
    ],
  },
};

/** The text of an autoscaler's targets, such as `cpu: 12%/80%`. It shows at most two targets. */
function autoscalerTargets(object: UntypedObject): string {
  const legacy = at(object.spec, "targetCPUUtilizationPercentage");
  if (typeof legacy === "number") {
    const current = at(object.status, "currentCPUUtilizationPercentage");
    return `cpu: ${typeof current === "number" ? `${current}%` : "<unknown>"}/${legacy}%`;
  }
  const metrics = objectsAt(object.spec, "metrics");
  const current = objectsAt(object.status, "currentMetrics");
  if (metrics.length === 0) return none;
  const all = metrics.map((metric, index) => metricText(metric, current[index]));
  const text = all.slice(0, 2).join(", ");
  return all.length > 2 ? `${text} + ${all.length - 2} more...` : text;
}

function metricText(metric: unknown, current: unknown): string {
  const source = ["external", "pods", "object", "resource", "containerResource"].find(
    (candidate) => at(metric, candidate) !== undefined,
  );
  if (source === undefined) return "<unknown type>";
  const [target, now] = [at(metric, source, "target"), at(current, source, "current")];
  const named = source === "resource" || source === "containerResource";
  const prefix = named ? `${stringOf(at(metric, source, "name"))}: ` : "";
  if (at(target, "averageValue") !== undefined) {
    return `${prefix}${textOr(at(now, "averageValue"), "<unknown>")}/${textOr(at(target, "averageValue"), "")}${named || source === "pods" ? "" : " (avg)"}`;
  }
  if (!named) return `${textOr(at(now, "value"), "<unknown>")}/${textOr(at(target, "value"), "")}`;
  const percent = (value: unknown, fallback: string): string => (typeof value === "number" ? `${value}%` : fallback);
  return `${prefix}${percent(at(now, "averageUtilization"), "<unknown>")}/${percent(at(target, "averageUtilization"), "<auto>")}`;
}
