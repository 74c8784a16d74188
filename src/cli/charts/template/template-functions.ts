import { parse, stringify } from "yaml";
import { userError } from "../../../base/index.ts";

type Tree = Record<string, unknown>;

/** Whether templates treat a value as true: it is not nil, zero or empty. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== "";
}

/** The text of a value in the output. */
export function textOfValue(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Writes YAML like helm: sorted fields, lists without indentation, and quotes around strings that YAML 1.1 reads as
 * other types.
 */
function toYaml(value: unknown): string {
  return stringify(value, {
    sortMapEntries: true,
    lineWidth: 0,
    version: "1.1",
    indentSeq: false,
    singleQuote: true,
    aliasDuplicateObjects: false,
  }).trimEnd();
}

function toPrettyJson(value: unknown): string {
  const sorted = (_key: string, one: unknown): unknown =>
    isTree(one) ? Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => (a < b ? -1 : 1))) : one;
  return JSON.stringify(value, sorted, 2);
}

/** Merges into the first map in place. `wins` decides whether existing values stay. */
function mergeInto(target: unknown, sources: readonly unknown[], wins: "first" | "last"): unknown {
  if (!isTree(target)) return target;
  for (const source of sources) {
    if (!isTree(source)) continue;
    for (const [key, value] of Object.entries(source)) {
      const known = target[key];
      if (isTree(known) && isTree(value)) mergeInto(known, [value], wins);
      else if (wins === "last" || !isTrue(known)) target[key] = value;
    }
  }
  return target;
}

function indent(spaces: unknown, text: unknown): string {
  const padding = " ".repeat(Number(spaces));
  return textOfValue(text)
    .split("\n")
    .map((line) => `${padding}${line}`)
    .join("\n");
}

function printf(format: unknown, ...args: readonly unknown[]): string {
  let next = 0;
  return String(format).replaceAll(/%([sdvq%])/g, (_whole, verb: string) => {
    if (verb === "%") return "%";
    const text = textOfValue(args[next]);
    next += 1;
    return verb === "q" ? JSON.stringify(text) : text;
  });
}

function quote(...values: readonly unknown[]): string {
  return values
    .filter((value) => value !== undefined && value !== null)
    .map((value) => JSON.stringify(textOfValue(value)))
    .join(" ");
}

function pairs(parts: readonly unknown[]): Tree {
  const tree: Tree = {};
  for (let index = 0; index < parts.length; index += 2) tree[String(parts[index])] = parts[index + 1];
  return tree;
}

function chosen(tree: unknown, keep: (key: string) => boolean): Tree {
  return isTree(tree) ? Object.fromEntries(Object.entries(tree).filter(([key]) => keep(key))) : {};
}

/** The helm functions that our charts use. Arguments have helm's order, and the piped one is last. */
export const templateFunctions: Readonly<Record<string, (...args: readonly unknown[]) => unknown>> = {
  coalesce: (...values) => values.find(isTrue),
  contains: (part, text) => textOfValue(text).includes(textOfValue(part)),
  deepCopy: (value) => structuredClone(value),
  default: (otherwise, value) => (isTrue(value) ? value : otherwise),
  dict: (...parts) => pairs(parts),
  eq: (value, ...others) => others.includes(value),
  fail: (message) => {
    throw userError("chart-values", textOfValue(message));
  },
  fromYaml: (text) => (parse(textOfValue(text), { version: "1.1" }) as unknown) ?? {},
  gt: (a, b) => Number(a) > Number(b),
  indent,
  index: (tree, ...keys) =>
    keys.reduce(
      (found, key) =>
        isTree(found) ? found[String(key)] : Array.isArray(found) ? (found[Number(key)] as unknown) : undefined,
      tree,
    ),
  int: (value) => Math.trunc(Number(value ?? 0)) || 0,
  join: (separator, list) =>
    Array.isArray(list) ? list.map(textOfValue).join(textOfValue(separator)) : textOfValue(list),
  list: (...values) => values,
  lt: (a, b) => Number(a) < Number(b),
  merge: (target, ...sources) => mergeInto(target, sources, "first"),
  mergeOverwrite: (target, ...sources) => mergeInto(target, sources, "last"),
  ne: (a, b) => a !== b,
  nindent: (spaces, text) => `\n${indent(spaces, text)}`,
  not: (value) => !isTrue(value),
  omit: (tree, ...keys) => chosen(tree, (key) => !keys.includes(key)),
  pick: (tree, ...keys) => chosen(tree, (key) => keys.includes(key)),
  printf,
  quote,
  ternary: (yes, no, condition) => (isTrue(condition) ? yes : no),
  toPrettyJson,
  toString: textOfValue,
  toYaml,
  trimPrefix: (prefix, text) =>
    textOfValue(text).startsWith(textOfValue(prefix)) ? textOfValue(text).slice(textOfValue(prefix).length) : text,
  trimSuffix: (suffix, text) =>
    textOfValue(text).endsWith(textOfValue(suffix))
      ? textOfValue(text).slice(0, textOfValue(text).length - textOfValue(suffix).length)
      : text,
  trunc: (length, text) => textOfValue(text).slice(0, Number(length)),
};
