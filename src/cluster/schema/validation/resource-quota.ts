import { jsonEqual, stringOf } from "../../../base/index.ts";
import { arrayOf, objectOf, withPaths } from "../json.ts";
import { checkQualifiedName } from "../names.ts";
import { parseQuantity } from "../quantity.ts";
import type { Check } from "./check.ts";
import type { KindValidator } from "./kind-validator.ts";

const counts =
  /^(pods|resourcequotas|services|replicationcontrollers|secrets|persistentvolumeclaims|configmaps|services\.nodeports|services\.loadbalancers)$|^count\//;
const computed =
  /^(cpu|memory|ephemeral-storage|requests\.(cpu|memory|storage|ephemeral-storage)|limits\.(cpu|memory|ephemeral-storage)|(requests\.)?hugepages-.+)$/;
const scopeNames = [
  "BestEffort",
  "CrossNamespacePodAffinity",
  "NotBestEffort",
  "NotTerminating",
  "PriorityClass",
  "Terminating",
];
const operators = ["DoesNotExist", "Exists", "In", "NotIn"];
const opposites = [
  ["BestEffort", "NotBestEffort"],
  ["Terminating", "NotTerminating"],
];

export const resourceQuota: KindValidator = (object, old, check) => {
  const spec = objectOf(object.spec);
  const scopes = [
    ...arrayOf(spec.scopes).map(stringOf),
    ...arrayOf(objectOf(spec.scopeSelector).matchExpressions).map((expression) =>
      stringOf(objectOf(expression).scopeName),
    ),
  ];
  for (const [name, value] of Object.entries(objectOf(spec.hard)))
    validateHard(name, stringOf(value), scopes, `spec.hard[${name}]`, check);
  for (const [at, scope] of withPaths(arrayOf(spec.scopes), "spec.scopes")) check.oneOf(at, scope, scopeNames);
  for (const pair of opposites)
    if (pair.every((scope) => scopes.includes(scope))) check.invalid("spec.scopes", scopes, "conflicting scopes");
  validateSelector(arrayOf(objectOf(spec.scopeSelector).matchExpressions), check);
  if (old === undefined) return;
  const before = objectOf(old.spec);
  for (const field of ["scopes", "scopeSelector"])
    if (!jsonEqual(spec[field], before[field])) check.invalid(`spec.${field}`, spec[field], "field is immutable");
};

function validateHard(name: string, value: string, scopes: readonly string[], at: string, check: Check): void {
  check.follows(at, name, checkQualifiedName);
  const isKnown = counts.test(name) || computed.test(name);
  if (!isKnown && !name.includes("/")) check.invalid(at, name, "must be a standard resource for quota");
  const nanos = parseQuantity(value)?.nanos ?? 0n;
  if (nanos < 0n) check.invalid(at, value, "must be greater than or equal to 0");
  if (counts.test(name) && nanos % 1_000_000_000n !== 0n) check.invalid(at, value, "must be an integer");
  const isForPods =
    name === "pods" || (!counts.test(name) && !name.includes("storageclass") && name !== "requests.storage");
  if (scopes.length > 0 && (!isForPods || (scopes.includes("BestEffort") && name !== "pods")))
    check.invalid(at, name, `unsupported scope applied to resource: ${scopes.join(", ")}`);
}

function validateSelector(expressions: readonly unknown[], check: Check): void {
  for (const [at, raw] of withPaths(expressions, "spec.scopeSelector.matchExpressions")) {
    const { scopeName, operator, values } = objectOf(raw);
    check.oneOf(`${at}.scopeName`, scopeName, scopeNames);
    check.oneOf(`${at}.operator`, operator, operators);
    const takesValues = operator === "In" || operator === "NotIn";
    if (takesValues && arrayOf(values).length === 0)
      check.required(
        `${at}.values`,
        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
      );
    if (!takesValues && arrayOf(values).length > 0)
      check.invalid(
        `${at}.values`,
        values,
        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
      );
    if (scopeName !== "PriorityClass" && operator !== "Exists")
      check.invalid(
        `${at}.operator`,
        operator,
        `must be 'Exist' only operator when scope is any of ${scopeNames.filter((name) => name !== "PriorityClass").join(", ")}`,
      );
  }
}
