import type { UntypedObject } from "../../api/index.ts";
import { apiVersionOf, type ResourceType } from "./contract.ts";
import { arrayOf, objectOf, wellFormedJson, type JsonObject } from "./json.ts";

/**
 * Converts an object to another version of its resource. CRDs convert by strategy None: only the version's name
 * changes. Among the built-in kinds, only autoscalers and events have versions that differ.
 */
export function convertObject(object: UntypedObject, to: ResourceType): UntypedObject {
  const apiVersion = apiVersionOf(to);
  if (object.apiVersion === apiVersion) return object;
  if (to.builtIn && to.kind === "HorizontalPodAutoscaler")
    return { ...convertAutoscaler(object, to.version), apiVersion } as UntypedObject;
  if (to.builtIn && to.kind === "Event") return { ...convertEvent(object, to.group), apiVersion } as UntypedObject;
  return { ...object, apiVersion };
}

const percentField = "targetCPUUtilizationPercentage";
const currentField = "currentCPUUtilizationPercentage";
/** The target of an autoscaler that states none, in percent. */
const defaultPercent = 80;
/** The annotations in which an autoscaler of v1 stores the values for which v1 has no fields. */
const metricsAnnotation = "autoscaling.alpha.kubernetes.io/metrics";
const behaviorAnnotation = "autoscaling.alpha.kubernetes.io/behavior";

function isCpuUtilization(metric: unknown): boolean {
  const resource = objectOf(objectOf(metric).resource);
  return (
    objectOf(metric).type === "Resource" &&
    resource.name === "cpu" &&
    objectOf(resource.target).averageUtilization !== undefined
  );
}

function convertAutoscaler(object: UntypedObject, version: string): JsonObject {
  return version === "v1" ? autoscalerToV1(object) : autoscalerToV2(object);
}

function autoscalerToV1(object: UntypedObject): JsonObject {
  const { metrics, behavior, ...spec } = objectOf(object.spec);
  const { currentMetrics, conditions: _onlyV2, ...status } = objectOf(object.status);
  const all = arrayOf(metrics);
  const cpu = all.find(isCpuUtilization);
  const others = all.filter((metric) => metric !== cpu);
  const current = arrayOf(currentMetrics)
    .map((metric) => objectOf(objectOf(objectOf(metric).resource).current).averageUtilization)
    .find((value) => typeof value === "number");
  const annotations = {
    ...object.metadata.annotations,
    ...(others.length === 0 ? {} : { [metricsAnnotation]: JSON.stringify(others) }),
    ...(behavior === undefined ? {} : { [behaviorAnnotation]: JSON.stringify(behavior) }),
  };
  const percent = cpu === undefined ? undefined : objectOf(objectOf(objectOf(cpu).resource).target).averageUtilization;
  return {
    ...object,
    metadata: Object.keys(annotations).length === 0 ? object.metadata : { ...object.metadata, annotations },
    spec: { ...spec, ...(percent === undefined ? {} : { [percentField]: percent }) },
    status: { currentReplicas: 0, ...status, ...(current === undefined ? {} : { [currentField]: current }) },
  };
}

function autoscalerToV2(object: UntypedObject): JsonObject {
  const { [percentField]: percent, ...spec } = objectOf(object.spec);
  const { [currentField]: current, ...status } = objectOf(object.status);
  const {
    [metricsAnnotation]: kept,
    [behaviorAnnotation]: behavior,
    ...annotations
  } = object.metadata.annotations ?? {};
  const cpu = (field: string, value: object): JsonObject => ({
    type: "Resource",
    resource: { name: "cpu", [field]: value },
  });
  const metrics = [
    ...parseList(kept),
    ...(typeof percent === "number" ? [cpu("target", { type: "Utilization", averageUtilization: percent })] : []),
  ];
  const { annotations: _replaced, ...metadata } = object.metadata;
  return {
    ...object,
    metadata: Object.keys(annotations).length === 0 ? metadata : { ...metadata, annotations },
    spec: {
      ...spec,
      metrics:
        metrics.length === 0 ? [cpu("target", { type: "Utilization", averageUtilization: defaultPercent })] : metrics,
      ...(behavior === undefined ? {} : { behavior: parseValue(behavior) }),
    },
    status: {
      ...status,
      ...(typeof current === "number" ? { currentMetrics: [cpu("current", { averageUtilization: current })] } : {}),
    },
  };
}

function parseValue(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(wellFormedJson(text));
  } catch {
    return undefined;
  }
}

function parseList(text: string | undefined): unknown[] {
  return arrayOf(parseValue(text));
}

/** Fields that have another name in events.k8s.io than in the core group. */
const eventFields: readonly (readonly [core: string, events: string])[] = [
  ["involvedObject", "regarding"],
  ["message", "note"],
  ["reportingComponent", "reportingController"],
  ["source", "deprecatedSource"],
  ["firstTimestamp", "deprecatedFirstTimestamp"],
  ["lastTimestamp", "deprecatedLastTimestamp"],
  ["count", "deprecatedCount"],
];

function convertEvent(object: UntypedObject, group: string): JsonObject {
  const result: JsonObject = { ...object };
  for (const [core, events] of eventFields) {
    const [from, to] = group === "" ? [events, core] : [core, events];
    if (!(from in result)) continue;
    result[to] = result[from];
    delete result[from];
  }
  for (const field of group === "" ? [] : ["reportingController", "reportingInstance"])
    if (result[field] === "") delete result[field];
  return result;
}
