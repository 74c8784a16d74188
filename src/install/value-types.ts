import generatedTypes from "#generated/install/value-types.json" with { type: "json" };
import { isTree, ownField } from "../base/index.ts";
import type { FieldIssue } from "../api/index.ts";
import { mergeTrees } from "./merge.ts";

/**
 * `whole` is a whole number from 0. `share` is a whole number or an empty object, which means none. `part` is a whole
 * number or a percentage of pods. `percent` is a number from 0 to 100. `switch` is true, false, 1 or 0.
 */
export type ValueType =
  | "boolean"
  | "whole"
  | "share"
  | "number"
  | "part"
  | "percent"
  | "switch"
  | "text"
  | "list"
  | "map";

/**
 * The types of the keys of `spec.values`. An object lists the types of the keys below. Keys that are not listed may
 * have any type.
 */
export interface ValueTypes {
  readonly [key: string]: ValueType | ValueTypes;
}

const workloadTypes: ValueTypes = {
  affinity: "map",
  nodeSelector: "map",
  podAnnotations: "map",
  terminationGracePeriodSeconds: "whole",
  tolerations: "list",
};

/** Keys of Serin, and keys that Istio reads although neither its schema nor its defaults list them. */
const ownTypes: ValueTypes = {
  base: { rolloutRoles: "boolean", validationFailurePolicy: "text" },
  global: { proxy: { capNetBindService: "boolean" }, trustDomain: "text" },
  pdb: { maxUnavailable: "part" },
  pilot: { ...workloadTypes, terminationMessagePolicy: "text", trafficDistribution: "text" },
  cni: workloadTypes,
  ztunnel: workloadTypes,
};

export const valueTypes = mergeTrees(generatedTypes, ownTypes) as ValueTypes;

export interface TypedValues {
  readonly values: Readonly<Record<string, unknown>>;
  readonly errors: readonly FieldIssue[];
}

/**
 * Converts values to their types, so that `"3"` becomes a number and `"true"` a boolean. Omits empty strings, so that
 * the default applies. Any other value of the wrong type is an error, because otherwise the default would silently
 * apply.
 */
export function typedValues(values: Readonly<Record<string, unknown>>): TypedValues {
  const errors: FieldIssue[] = [];
  return { values: typedTree(values, valueTypes, "spec.values", errors), errors };
}

function typedTree(
  values: Readonly<Record<string, unknown>>,
  types: ValueTypes,
  path: string,
  errors: FieldIssue[],
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => {
      const type = ownField(types, key);
      if (type === undefined) return [[key, value]];
      return value === "" && type !== "text" ? [] : [[key, typed(value, type, `${path}.${key}`, errors)]];
    }),
  );
}

function typed(value: unknown, type: ValueType | ValueTypes, path: string, errors: FieldIssue[]): unknown {
  if (value === undefined || value === null) return value;
  if (typeof type === "object" && isTree(value)) return typedTree(value, type, path, errors);
  const converted = typeof type === "object" ? undefined : readers[type](value);
  if (converted !== undefined) return converted;
  const expected = expectations[typeof type === "object" ? "map" : type];
  errors.push({ path, message: `must be ${expected}, got ${JSON.stringify(value)}` });
  return value;
}

export const expectations: Readonly<Record<ValueType, string>> = {
  boolean: "true or false",
  whole: "a whole number from 0 on",
  share: "a whole number from 0 on",
  number: "a number",
  part: "a whole number or a percentage such as 25%",
  percent: "a number from 0 to 100",
  switch: "true or false",
  text: "a string",
  list: "a list",
  map: "an object",
};

export const percentPattern = /^(100(\.0+)?|\d{1,2}(\.\d+)?)$/;
export const switchPattern = /^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[01])$/;

/** Functions that convert a value to its type, and return undefined for a value of another type. */
const readers: Readonly<Record<ValueType, (value: unknown) => unknown>> = {
  boolean: (value) => (value === "true" ? true : value === "false" ? false : only(value, typeof value === "boolean")),
  whole: (value) => wholeNumber(value),
  share: (value) => wholeNumber(value) ?? only(value, isTree(value) && Object.keys(value).length === 0),
  number: (value) =>
    typeof value === "string" && /^\d+(\.\d+)?$/.test(value) ? Number(value) : only(value, typeof value === "number"),
  part: (value) => wholeNumber(value) ?? only(value, typeof value === "string" && /^\d+%$/.test(value)),
  percent: (value) => only(value, percentPattern.test(String(value))),
  switch: (value) => only(value, switchPattern.test(String(value))),
  text: (value) => only(value, typeof value !== "object"),
  list: (value) => only(value, Array.isArray(value)),
  map: (value) => only(value, isTree(value)),
};

function wholeNumber(value: unknown): unknown {
  if (typeof value === "string" && /^\d{1,15}$/.test(value)) return Number(value);
  return only(value, typeof value === "number" && Number.isInteger(value) && value >= 0);
}

function only(value: unknown, isAllowed: boolean): unknown {
  return isAllowed ? value : undefined;
}
