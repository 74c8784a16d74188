import { ownField, stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import type { Check } from "./check.ts";

const sourceOfType: Readonly<Record<string, string>> = {
  ContainerResource: "containerResource",
  External: "external",
  Object: "object",
  Pods: "pods",
  Resource: "resource",
};
const maxWindowSeconds = 3600;
const maxPeriodSeconds = 1800;

export function autoscaler(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  const target = objectOf(spec.scaleTargetRef);
  const [minimum, maximum] = [spec.minReplicas, spec.maxReplicas];
  if (typeof minimum === "number" && minimum < 1)
    check.invalid("spec.minReplicas", minimum, "must be greater than or equal to 1");
  if (typeof maximum !== "number" || maximum < 1) check.required("spec.maxReplicas", "must be set and greater than 0");
  if (typeof minimum === "number" && Number(maximum ?? 0) < minimum)
    check.invalid("spec.maxReplicas", maximum, "must be greater than or equal to `minReplicas`");
  for (const field of ["kind", "name"])
    if (stringOf(target[field]) === "") check.required(`spec.scaleTargetRef.${field}`);
  if (!stringOf(target.apiVersion).includes("/") && target.apiVersion !== "v1")
    check.invalid("spec.scaleTargetRef.apiVersion", target.apiVersion, "apiVersion must specify API group");
  validateMetrics(arrayOf(spec.metrics).map(objectOf), minimum, check);
  for (const direction of ["scaleUp", "scaleDown"])
    validateBehavior(objectOf(objectOf(spec.behavior)[direction]), `spec.behavior.${direction}`, check);
}

function validateMetrics(metrics: readonly JsonObject[], minimum: unknown, check: Check): void {
  for (const [at, metric] of withPaths(metrics, "spec.metrics")) {
    const type = stringOf(metric.type);
    const source = ownField(sourceOfType, type);
    if (type === "") check.required(`${at}.type`, "must specify a metric source type");
    else check.oneOf(`${at}.type`, type, Object.keys(sourceOfType));
    if (source === undefined) continue;
    if (!isObject(metric[source]))
      check.required(`${at}.${source}`, "must populate information for the given metric source");
    else if (source === "resource" || source === "containerResource")
      validateResourceTarget(metric[source], `${at}.${source}`, check);
  }
  if (minimum === 0 && !metrics.some(({ type }) => type === "Object" || type === "External"))
    check.forbidden(
      "spec.metrics",
      "must specify at least one Object or External metric to support scaling to zero replicas",
    );
}

function validateResourceTarget({ name, target }: JsonObject, at: string, check: Check): void {
  if (stringOf(name) === "") check.required(`${at}.name`, "must specify a resource name");
  const { averageUtilization, averageValue } = objectOf(target);
  if (averageUtilization === undefined && averageValue === undefined)
    check.required(`${at}.target.averageUtilization`, "must set either a target raw value or a target utilization");
  else if (averageUtilization !== undefined && averageValue !== undefined)
    check.forbidden(`${at}.target.averageValue`, "may not set both a target raw value and a target utilization");
  if (typeof averageUtilization === "number" && averageUtilization < 1)
    check.invalid(`${at}.target.averageUtilization`, averageUtilization, "must be greater than 0");
}

function validateBehavior(rules: JsonObject, at: string, check: Check): void {
  const window = rules.stabilizationWindowSeconds;
  check.nonNegative(`${at}.stabilizationWindowSeconds`, window);
  if (typeof window === "number" && window > maxWindowSeconds)
    check.invalid(`${at}.stabilizationWindowSeconds`, window, `must be less than or equal to ${maxWindowSeconds}`);
  check.oneOf(`${at}.selectPolicy`, rules.selectPolicy, ["Disabled", "Max", "Min"]);
  for (const [place, raw] of withPaths(arrayOf(rules.policies), `${at}.policies`)) {
    const { type, value, periodSeconds } = objectOf(raw);
    check.oneOf(`${place}.type`, type ?? "", ["Percent", "Pods"]);
    for (const [field, number] of Object.entries({ value, periodSeconds }))
      if (Number(number ?? 0) <= 0) check.invalid(`${place}.${field}`, number ?? 0, "must be greater than zero");
    if (Number(periodSeconds ?? 0) > maxPeriodSeconds)
      check.invalid(`${place}.periodSeconds`, periodSeconds, `must be less than or equal to ${maxPeriodSeconds}`);
  }
}
