import { ownField, stringOf } from "../../../base/index.ts";
import { arrayOf, objectOf, withPaths, type JsonObject } from "../json.ts";
import { checkQualifiedName } from "../names.ts";
import { compareQuantities, parseQuantity, type Quantity } from "../quantity.ts";
import type { Check } from "./check.ts";
import type { KindValidator } from "./kind-validator.ts";
import { containerResourceProblems } from "./pod-resources.ts";

type Field = "min" | "max" | "default" | "defaultRequest" | "maxLimitRequestRatio";

/**
 * Pairs of fields of a limit. The amount in `low` may not be larger than the amount in `high`. The error names the
 * field `at`.
 */
const orders: readonly { readonly low: Field; readonly high: Field; readonly at: Field }[] = [
  { low: "min", high: "max", at: "min" },
  { low: "min", high: "defaultRequest", at: "defaultRequest" },
  { low: "defaultRequest", high: "max", at: "defaultRequest" },
  { low: "defaultRequest", high: "default", at: "defaultRequest" },
  { low: "min", high: "default", at: "default" },
  { low: "default", high: "max", at: "default" },
];
const standardTypes = new Set(["Container", "PersistentVolumeClaim", "Pod"]);
const words: Readonly<Record<Field, string>> = {
  min: "min",
  max: "max",
  default: "default",
  defaultRequest: "default request",
  maxLimitRequestRatio: "ratio",
};

export const limitRange: KindValidator = (object, _old, check) => {
  const types = new Set<string>();
  for (const [at, raw] of withPaths(arrayOf(objectOf(object.spec).limits), "spec.limits")) {
    const limit = objectOf(raw);
    const type = stringOf(limit.type);
    const isNamed = check.follows(`${at}.type`, type, checkQualifiedName);
    if (isNamed && !type.includes("/") && !standardTypes.has(type))
      check.invalid(`${at}.type`, type, "must be a standard limit type or fully qualified");
    check.unique(`${at}.type`, type, types);
    validateLimit(limit, type, at, check);
  }
};

function checkResourceNames(limit: JsonObject, type: string, at: string, check: Check): void {
  const isOfPod = type === "Pod" || type === "Container";
  for (const field of Object.keys(words))
    for (const name of Object.keys(objectOf(limit[field])))
      check.follows(`${at}.${field}[${name}]`, name, isOfPod ? containerResourceProblems : checkQualifiedName);
}

function validateLimit(limit: JsonObject, type: string, at: string, check: Check): void {
  if (type === "Pod")
    for (const field of ["default", "defaultRequest"])
      if (Object.keys(objectOf(limit[field])).length > 0)
        check.forbidden(`${at}.${field}`, "may not be specified when `type` is 'Pod'");
  const valueOf = (field: Field, name: string): Quantity | undefined =>
    parseQuantity(stringOf(ownField(objectOf(limit[field]), name)));
  if (type === "PersistentVolumeClaim" && (valueOf("min", "storage") ?? valueOf("max", "storage")) === undefined)
    check.required(at, "either minimum or maximum storage value is required, but neither was provided");
  checkResourceNames(limit, type, at, check);
  for (const name of new Set(Object.keys(words).flatMap((field) => Object.keys(objectOf(limit[field]))))) {
    const text = (field: Field): string => stringOf(ownField(objectOf(limit[field]), name));
    for (const { low, high, at: field } of orders) {
      const [small, large] = [valueOf(low, name), valueOf(high, name)];
      if (small === undefined || large === undefined || compareQuantities(small, large) <= 0) continue;
      const end = low === "defaultRequest" && high === "default" ? "default limit" : words[high];
      const detail = `${words[low]} value ${text(low)} is greater than ${end} value ${text(high)}`;
      check.invalid(`${at}.${field}[${name}]`, text(field), detail);
    }
    const ratio = valueOf("maxLimitRequestRatio", name);
    if (ratio !== undefined && ratio.nanos < 1_000_000_000n)
      check.invalid(
        `${at}.maxLimitRequestRatio[${name}]`,
        text("maxLimitRequestRatio"),
        `ratio ${text("maxLimitRequestRatio")} is less than 1`,
      );
  }
}
