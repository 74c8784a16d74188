import { stringOf } from "../../../base/index.ts";
import { fieldErrors } from "../field-error.ts";
import { arrayOf, childPath, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { validateLabelSelector } from "../metadata.ts";
import { checkLabelName, checkLabelValue, checkQualifiedName, checkSubdomain } from "../names.ts";
import type { Check } from "./check.ts";

const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/** Validates the fields that decide where a pod may run: affinity, tolerations and spread constraints. */
export function validatePlacement(spec: JsonObject, path: string, check: Check): void {
  const affinity = objectOf(spec.affinity);
  validateNodeAffinity(objectOf(affinity.nodeAffinity), `${path}.affinity.nodeAffinity`, check);
  for (const kind of ["podAffinity", "podAntiAffinity"])
    validatePodAffinity(objectOf(affinity[kind]), `${path}.affinity.${kind}`, check);
  validateTolerations(arrayOf(spec.tolerations), `${path}.tolerations`, check);
  validateSpread(arrayOf(spec.topologySpreadConstraints), `${path}.topologySpreadConstraints`, check);
}

const required = "requiredDuringSchedulingIgnoredDuringExecution";
const preferred = "preferredDuringSchedulingIgnoredDuringExecution";

function validateNodeAffinity(affinity: JsonObject, path: string, check: Check): void {
  if (isObject(affinity[required])) validateNodeSelector(affinity[required], `${path}.${required}`, check);
  for (const [at, raw] of withPaths(arrayOf(affinity[preferred]), `${path}.${preferred}`)) {
    const { weight, preference } = objectOf(raw);
    validateWeight(weight, `${at}.weight`, check);
    validateNodeTerm(objectOf(preference), `${at}.preference`, check, false);
  }
}

/** Validates a NodeSelector of core/v1, which pods and volumes have. */
export function validateNodeSelector(selector: JsonObject, path: string, check: Check): void {
  const terms = arrayOf(selector.nodeSelectorTerms);
  if (terms.length === 0) check.required(`${path}.nodeSelectorTerms`, "must have at least one node selector term");
  for (const [at, term] of withPaths(terms, `${path}.nodeSelectorTerms`))
    validateNodeTerm(objectOf(term), at, check, true);
}

function validateNodeTerm(term: JsonObject, path: string, check: Check, isStrict: boolean): void {
  for (const [at, raw] of withPaths(arrayOf(term.matchExpressions), `${path}.matchExpressions`))
    validateExpression(objectOf(raw), at, check, isStrict);
  for (const [at, raw] of withPaths(arrayOf(term.matchFields), `${path}.matchFields`))
    validateFieldExpression(objectOf(raw), at, check);
}

function validateExpression(expression: JsonObject, at: string, check: Check, isStrict: boolean): void {
  const values = arrayOf(expression.values).map(stringOf);
  switch (expression.operator) {
    case "In":
    case "NotIn":
      if (values.length === 0) check.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'");
      break;
    case "Exists":
    case "DoesNotExist":
      if (values.length > 0)
        check.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      break;
    case "Gt":
    case "Lt":
      if (values.length !== 1)
        check.required(`${at}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'");
      break;
    default:
      check.invalid(`${at}.operator`, expression.operator, "not a valid selector operator");
  }
  const key = stringOf(expression.key);
  check.follows(`${at}.key`, key, checkQualifiedName);
  if (!isStrict) return;
  for (const [place, value] of withPaths(values, `${at}.values`)) check.follows(place, value, checkLabelValue);
}

function validateFieldExpression({ key, operator, values }: JsonObject, at: string, check: Check): void {
  const names = arrayOf(values).map(stringOf);
  if (operator !== "In" && operator !== "NotIn")
    check.invalid(`${at}.operator`, operator, "not a valid selector operator");
  else if (names.length !== 1)
    check.required(`${at}.values`, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  if (key !== "metadata.name") return check.invalid(`${at}.key`, key, "not a valid field selector key");
  for (const [place, name] of withPaths(names, `${at}.values`)) check.follows(place, name, checkSubdomain);
}

function validateWeight(weight: unknown, at: string, check: Check): void {
  const value = Number(weight ?? 0);
  if (value < 1 || value > 100) check.invalid(at, value, "must be in the range 1-100");
}

function validatePodAffinity(affinity: JsonObject, path: string, check: Check): void {
  for (const [at, term] of withPaths(arrayOf(affinity[required]), `${path}.${required}`))
    validateAffinityTerm(objectOf(term), at, check);
  for (const [at, raw] of withPaths(arrayOf(affinity[preferred]), `${path}.${preferred}`)) {
    const { weight, podAffinityTerm } = objectOf(raw);
    validateWeight(weight, `${at}.weight`, check);
    validateAffinityTerm(objectOf(podAffinityTerm), `${at}.podAffinityTerm`, check);
  }
}

function validateAffinityTerm(term: JsonObject, at: string, check: Check): void {
  for (const field of ["labelSelector", "namespaceSelector"])
    check.add(...validateLabelSelector(term[field], `${at}.${field}`));
  for (const name of arrayOf(term.namespaces).map(stringOf)) check.follows(`${at}.namespace`, name, checkLabelName);
  validateLabelKeys(term, at, check);
  const key = stringOf(term.topologyKey);
  if (key === "") check.required(`${at}.topologyKey`, "can not be empty");
  check.follows(`${at}.topologyKey`, key, checkQualifiedName);
}

/** Validates `matchLabelKeys` and `mismatchLabelKeys`, which narrow the selector of a term. */
function validateLabelKeys(term: JsonObject, at: string, check: Check): void {
  const mismatched = new Set(arrayOf(term.mismatchLabelKeys));
  for (const field of ["matchLabelKeys", "mismatchLabelKeys"]) {
    const keys = arrayOf(term[field]).map(stringOf);
    if (keys.length > 0 && !isObject(term.labelSelector)) {
      check.forbidden(`${at}.${field}`, "must not be specified when labelSelector is not set");
      continue;
    }
    for (const [place, key] of withPaths(keys, `${at}.${field}`)) check.follows(place, key, checkQualifiedName);
  }
  for (const [place, key] of withPaths(arrayOf(term.matchLabelKeys), `${at}.matchLabelKeys`))
    if (mismatched.has(key)) check.invalid(place, key, "exists in both matchLabelKeys and mismatchLabelKeys");
}

function validateTolerations(tolerations: readonly unknown[], path: string, check: Check): void {
  for (const [at, raw] of withPaths(tolerations, path)) {
    const { key: rawKey, operator = "Equal", value: rawValue, effect, tolerationSeconds } = objectOf(raw);
    const [key, value] = [stringOf(rawKey), stringOf(rawValue)];
    if (key !== "") check.follows(`${at}.key`, key, checkQualifiedName);
    else if (operator !== "Exists")
      check.invalid(
        `${at}.operator`,
        objectOf(raw).operator,
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      );
    if (tolerationSeconds !== undefined && effect !== "NoExecute")
      check.invalid(`${at}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (operator === "Equal") {
      const problems = checkLabelValue(value);
      if (problems.length > 0) check.invalid(`${at}.operator`, value, problems.join(";"));
    } else if (operator === "Exists") {
      if (value !== "") check.invalid(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'");
    } else if (operator === "Lt" || operator === "Gt") {
      // Kubernetes' message lists these two operators, although it refuses them unless a feature gate is on.
      check.add(fieldErrors.notSupported(`${at}.operator`, operator, ["Equal", "Exists", "Lt", "Gt"]));
    } else check.oneOf(`${at}.operator`, operator, ["Equal", "Exists"]);
    if (stringOf(effect) !== "") check.oneOf(`${at}.effect`, effect, effects);
  }
}

export function validateTaints(taints: readonly unknown[], path: string, check: Check): void {
  const seen = new Set<string>();
  for (const [at, raw] of withPaths(taints, path)) {
    const { key: rawKey, value, effect } = objectOf(raw);
    const key = stringOf(rawKey);
    check.follows(`${at}.key`, key, checkQualifiedName);
    const problems = checkLabelValue(stringOf(value));
    if (problems.length > 0) check.invalid(`${at}.value`, value, problems.join(";"));
    if (stringOf(effect) === "") check.required(`${at}.effect`);
    else check.oneOf(`${at}.effect`, effect, effects);
    const pair = `${stringOf(effect)}/${key}`;
    if (seen.has(pair)) check.add(fieldErrors.duplicate(at, raw, "taints must be unique by key and effect pair"));
    seen.add(pair);
  }
}

function validateSpread(constraints: readonly unknown[], path: string, check: Check): void {
  const pairOf = (raw: unknown): string => {
    const { topologyKey, whenUnsatisfiable } = objectOf(raw);
    return `{${stringOf(topologyKey)}, ${stringOf(whenUnsatisfiable)}}`;
  };
  const lastOfPair = new Map(constraints.map((raw, index) => [pairOf(raw), index]));
  for (const [index, raw] of constraints.entries()) {
    const at = childPath(path, index);
    const constraint = objectOf(raw);
    const { maxSkew, minDomains, whenUnsatisfiable } = constraint;
    if (typeof maxSkew !== "number" || maxSkew <= 0)
      check.invalid(`${at}.maxSkew`, maxSkew ?? 0, "must be greater than zero");
    if (stringOf(constraint.topologyKey) === "") check.required(`${at}.topologyKey`, "can not be empty");
    check.oneOf(`${at}.whenUnsatisfiable`, whenUnsatisfiable ?? "", ["DoNotSchedule", "ScheduleAnyway"]);
    if (lastOfPair.get(pairOf(raw)) !== index)
      check.add(fieldErrors.duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, pairOf(raw)));
    if (typeof minDomains === "number") {
      if (minDomains <= 0) check.invalid(`${at}.minDomains`, minDomains, "must be greater than zero");
      if (whenUnsatisfiable !== "DoNotSchedule")
        check.invalid(
          `${at}.minDomains`,
          minDomains,
          `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${stringOf(whenUnsatisfiable)}`,
        );
    }
    for (const policy of ["nodeAffinityPolicy", "nodeTaintsPolicy"])
      check.oneOf(`${at}.${policy}`, constraint[policy], ["Honor", "Ignore"]);
    validateLabelKeys(constraint, at, check);
    check.add(...validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`));
  }
}
