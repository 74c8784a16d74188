import { jsonEqual, stringOf } from "../../../base/index.ts";
import { mirrorAnnotation, matchesLabelSelector } from "../../../api/index.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { checkLabelName } from "../names.ts";
import { fieldErrors } from "../field-error.ts";
import type { Check } from "./check.ts";
import { validateLabelSelector } from "../metadata.ts";
import { qosClassOf } from "../qos-class.ts";
import { validateNewPod, validatePod, validatePodTemplate } from "./pod-spec.ts";
import type { KindValidators } from "./kind-validator.ts";
import { validateClaimSpec } from "./storage.ts";

function isEmptySelector(selector: JsonObject): boolean {
  return Object.keys(objectOf(selector.matchLabels)).length === 0 && arrayOf(selector.matchExpressions).length === 0;
}

const misses = "`selector` does not match template `labels`";

function selectorAndTemplate(kind: string, spec: JsonObject, check: Check): void {
  const { selector } = spec;
  const template = objectOf(spec.template);
  const labels = objectOf(objectOf(template.metadata).labels);
  const shown = Object.keys(labels).length === 0 ? null : labels;
  if (!isObject(selector)) {
    check.required("spec.selector");
    check.add(fieldErrors.invalid("spec.template.metadata.labels", shown, misses));
  } else {
    check.add(...validateLabelSelector(selector, "spec.selector"));
    if (isEmptySelector(selector)) check.invalid("spec.selector", selector, `empty selector is invalid for ${kind}`);
    else if (!matchesLabelSelector(selector, labels as Record<string, string>))
      check.add(fieldErrors.invalid("spec.template.metadata.labels", shown, misses));
  }
  validatePodTemplate(withClaims(template, arrayOf(spec.volumeClaimTemplates)), "spec.template", check);
  const restartPolicy = objectOf(template.spec).restartPolicy;
  if (restartPolicy !== undefined) check.oneOf("spec.template.spec.restartPolicy", restartPolicy, ["Always"]);
  if (objectOf(template.spec).activeDeadlineSeconds !== undefined)
    check.forbidden("spec.template.spec.activeDeadlineSeconds", "activeDeadlineSeconds in ReplicaSet is not Supported");
}

/** The template of a StatefulSet's pods, with a volume for each of its claims. */
function withClaims(template: JsonObject, claims: readonly unknown[]): JsonObject {
  const podSpec = objectOf(template.spec);
  const declared = arrayOf(podSpec.volumes);
  const names = new Set(declared.map((volume) => objectOf(volume).name));
  const added = claims
    .map((claim) => stringOf(objectOf(objectOf(claim).metadata).name))
    .filter((name) => name !== "" && !names.has(name))
    .map((name) => ({ name, persistentVolumeClaim: { claimName: name } }));
  return added.length === 0 ? template : { ...template, spec: { ...podSpec, volumes: [...declared, ...added] } };
}

const percentPattern = /^\d+%$/;

/** Checks a number or a percentage. Returns the number in it, so that callers can compare it. */
function intOrPercent(path: string, value: unknown, check: Check): number {
  if (typeof value === "number") {
    check.nonNegative(path, value);
    return value;
  }
  if (typeof value !== "string") return 0;
  if (!percentPattern.test(value))
    check.invalid(
      path,
      value,
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    );
  return Number.parseInt(value, 10) || 0;
}

function budget(path: string, rolling: JsonObject, check: Check): void {
  const unavailable = intOrPercent(`${path}.maxUnavailable`, rolling.maxUnavailable, check);
  const surge = intOrPercent(`${path}.maxSurge`, rolling.maxSurge, check);
  if (unavailable === 0 && surge === 0)
    check.invalid(`${path}.maxUnavailable`, rolling.maxUnavailable ?? 0, "may not be 0 when `maxSurge` is 0");
  if (typeof rolling.maxUnavailable === "string" && unavailable > 100)
    check.invalid(`${path}.maxUnavailable`, rolling.maxUnavailable, "must not be greater than 100%");
}

/**
 * Checks that a DaemonSet's update has either a surge or unavailable pods, but not both. An old pod is removed either
 * after its successor has started, or before.
 */
function daemonBudget(path: string, rolling: JsonObject, check: Check): void {
  const unavailable = intOrPercent(`${path}.maxUnavailable`, rolling.maxUnavailable, check);
  const surge = intOrPercent(`${path}.maxSurge`, rolling.maxSurge, check);
  if (unavailable !== 0 && surge !== 0)
    check.invalid(`${path}.maxSurge`, rolling.maxSurge, "may not be set when maxUnavailable is non-zero");
  if (unavailable === 0 && surge === 0) check.required(`${path}.maxUnavailable`, "cannot be 0 when maxSurge is 0");
}

/** Checks the type of a strategy. As in Kubernetes, the error shows the path and the value of the whole strategy. */
function oneStrategy(path: string, strategy: JsonObject, types: readonly string[], check: Check): void {
  if (types.includes(stringOf(strategy.type))) return;
  const shown = { Type: strategy.type, RollingUpdate: strategy.rollingUpdate ?? null };
  check.add(fieldErrors.notSupported(path, shown, types));
}

function deployment(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  for (const field of ["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"])
    check.nonNegative(`spec.${field}`, spec[field]);
  selectorAndTemplate("deployment", spec, check);
  const strategy = objectOf(spec.strategy);
  oneStrategy("spec.strategy", strategy, ["Recreate", "RollingUpdate"], check);
  if (strategy.type === "Recreate" && strategy.rollingUpdate !== undefined)
    check.forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'");
  if (strategy.type === "RollingUpdate" && isObject(strategy.rollingUpdate))
    budget("spec.strategy.rollingUpdate", strategy.rollingUpdate, check);
  const [deadline, minimum] = [spec.progressDeadlineSeconds, spec.minReadySeconds];
  if (typeof deadline === "number" && deadline <= (typeof minimum === "number" ? minimum : 0))
    check.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds");
  if (old !== undefined) check.immutable("spec.selector", spec.selector, objectOf(old.spec).selector);
}

function replicaSet(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  for (const field of ["replicas", "minReadySeconds"]) check.nonNegative(`spec.${field}`, spec[field]);
  selectorAndTemplate("replica set", spec, check);
  if (old !== undefined) check.immutable("spec.selector", spec.selector, objectOf(old.spec).selector);
}

function daemonSet(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  for (const field of ["minReadySeconds", "revisionHistoryLimit"]) check.nonNegative(`spec.${field}`, spec[field]);
  selectorAndTemplate("daemonset", spec, check);
  const strategy = objectOf(spec.updateStrategy);
  oneStrategy("spec.updateStrategy", strategy, ["RollingUpdate", "OnDelete"], check);
  if (strategy.type === "RollingUpdate" && isObject(strategy.rollingUpdate))
    daemonBudget("spec.updateStrategy.rollingUpdate", strategy.rollingUpdate, check);
  if (old !== undefined) check.immutable("spec.selector", spec.selector, objectOf(old.spec).selector);
}

const changeableInStatefulSet = new Set([
  "replicas",
  "ordinals",
  "template",
  "updateStrategy",
  "revisionHistoryLimit",
  "persistentVolumeClaimRetentionPolicy",
  "minReadySeconds",
]);

function statefulStrategy(strategy: JsonObject, check: Check): void {
  const { type, rollingUpdate } = strategy;
  const path = "spec.updateStrategy";
  const rolling = objectOf(rollingUpdate);
  const shown = { Partition: rolling.partition ?? 0, MaxUnavailable: rolling.maxUnavailable ?? null };
  if (type === "RollingUpdate") check.nonNegative(`${path}.rollingUpdate.partition`, rolling.partition);
  else if (type !== "OnDelete")
    check.invalid(path, { Type: type, RollingUpdate: rollingUpdate ?? null }, "must be 'RollingUpdate' or 'OnDelete'");
  else if (rollingUpdate !== undefined)
    check.invalid(`${path}.rollingUpdate`, shown, "only allowed for updateStrategy 'RollingUpdate'");
}

function statefulSet(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  for (const field of ["replicas", "minReadySeconds"]) check.nonNegative(`spec.${field}`, spec[field]);
  check.nonNegative("spec.ordinals.start", objectOf(spec.ordinals).start);
  selectorAndTemplate("statefulset", spec, check);
  const policy = spec.podManagementPolicy;
  if (policy !== undefined && policy !== "OrderedReady" && policy !== "Parallel")
    check.invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'");
  statefulStrategy(objectOf(spec.updateStrategy), check);
  for (const field of ["whenDeleted", "whenScaled"])
    check.oneOf(
      `spec.persistentVolumeClaimRetentionPolicy.${field}`,
      objectOf(spec.persistentVolumeClaimRetentionPolicy)[field],
      ["Retain", "Delete"],
    );
  if (old === undefined) newStatefulSet(spec, check);
  else statefulSetUpdate(spec, objectOf(old.spec), check);
}

/** Checks the fields of a new StatefulSet that an update cannot change. */
function newStatefulSet(spec: JsonObject, check: Check): void {
  if (stringOf(spec.serviceName) !== "") check.follows("spec.serviceName", spec.serviceName, checkLabelName);
  for (const [at, claim] of withPaths(arrayOf(spec.volumeClaimTemplates), "spec.volumeClaimTemplates"))
    validateClaimSpec(objectOf(objectOf(claim).spec), `${at}.spec`, check);
}

function statefulSetUpdate(spec: JsonObject, previous: JsonObject, check: Check): void {
  const fixed = new Set(
    [...Object.keys(spec), ...Object.keys(previous)].filter((key) => !changeableInStatefulSet.has(key)),
  );
  if ([...fixed].some((key) => !jsonEqual(spec[key], previous[key]))) {
    check.forbidden(
      "spec",
      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    );
  }
}

const changeableInPod = new Set([
  "tolerations",
  "activeDeadlineSeconds",
  "terminationGracePeriodSeconds",
  "schedulingGates",
]);
const podUpdateMessage =
  "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

function pod(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  validatePod(object, check);
  if (old === undefined) return validateNewPod(object, check);
  checkMirrorAnnotation(object, old, check);
  if (!jsonEqual(comparablePodSpec(spec), comparablePodSpec(objectOf(old.spec))))
    check.forbidden("spec", podUpdateMessage);
}

/**
 * Checks that an update does not add, change or remove the annotation of a mirror pod. A node ignores mirror pods. If a
 * running pod got this annotation, its processes would outlive the pod's deletion.
 */
function checkMirrorAnnotation(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const annotationOf = (pod: JsonObject | undefined): unknown =>
    objectOf(objectOf(pod?.metadata).annotations)[mirrorAnnotation];
  const [now, before] = [annotationOf(object), annotationOf(old)];
  if (now === before) return;
  const what = before === undefined ? "add" : "remove or update";
  check.forbidden(`metadata.annotations[${mirrorAnnotation}]`, `may not ${what} mirror pod annotation`);
}

/**
 * Checks a resize. The QoS class of a pod cannot change, because the node has placed the pod's processes by their
 * class.
 */
function podResize(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  validatePod(object, check);
  const qosClass = objectOf(old?.status).qosClass ?? qosClassOf(objectOf(old?.spec));
  if (qosClassOf(objectOf(object.spec)) !== qosClass)
    check.invalid("spec", qosClass, "Pod QOS Class may not change as a result of resizing");
}

/** Checks a write to `pods/ephemeralcontainers`. It may add containers, but not change existing ones. */
function podWithEphemeralContainers(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const field = "spec.ephemeralContainers";
  const spec = objectOf(object.spec);
  validatePod(object, check);
  const wanted = new Map(arrayOf(spec.ephemeralContainers).map((container) => [objectOf(container).name, container]));
  for (const before of arrayOf(objectOf(old?.spec).ephemeralContainers).map(objectOf)) {
    const now = wanted.get(before.name);
    if (now === undefined)
      check.forbidden(field, `existing ephemeral containers ${JSON.stringify(before.name)} may not be removed`);
    else if (!jsonEqual(now, before))
      check.forbidden(field, `existing ephemeral containers ${JSON.stringify(before.name)} may not be changed`);
  }
}

/**
 * The spec of a pod without the fields that an update may change: images, and the fields in {@link changeableInPod}.
 */
function comparablePodSpec(spec: JsonObject): JsonObject {
  const rest = Object.fromEntries(Object.entries(spec).filter(([key]) => !changeableInPod.has(key)));
  for (const field of ["containers", "initContainers"]) {
    if (!Array.isArray(rest[field])) continue;
    rest[field] = arrayOf(rest[field]).map((container) => ({ ...objectOf(container), image: "" }));
  }
  return rest;
}

export const workloadValidators: KindValidators = {
  "/pods": pod,
  "/pods/status": checkMirrorAnnotation,
  "/pods/resize": podResize,
  "/pods/ephemeralcontainers": podWithEphemeralContainers,
  "/podtemplates": (object, _old, check) => validatePodTemplate(object.template, "template", check),
  "/replicationcontrollers": (object, _old, check) => {
    const spec = objectOf(object.spec);
    check.nonNegative("spec.replicas", spec.replicas);
    const selector = objectOf(spec.selector);
    if (Object.keys(selector).length === 0) check.required("spec.selector");
    const template = objectOf(spec.template);
    const labels = objectOf(objectOf(template.metadata).labels);
    if (Object.entries(selector).some(([key, value]) => labels[key] !== value))
      check.invalid("spec.template.metadata.labels", labels, misses);
    validatePodTemplate(spec.template, "spec.template", check);
    check.oneOf("spec.template.spec.restartPolicy", objectOf(template.spec).restartPolicy, ["Always"]);
  },
  "apps/deployments": deployment,
  "apps/replicasets": replicaSet,
  "apps/daemonsets": daemonSet,
  "apps/statefulsets": statefulSet,
};
