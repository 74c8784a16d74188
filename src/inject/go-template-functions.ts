import { parse, stringify } from "yaml";
import { isTree, messageOf, userError } from "../base/index.ts";

/** Functions that pod templates call, under the names of Go's text/template, Sprig and Istio. */

type TemplateFunction = (...values: readonly unknown[]) => unknown;

export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isTree(value)) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== "";
}

export function textOf(value: unknown): string {
  if (value === undefined || value === null) return "<no value>";
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

function fieldOf(tree: unknown, key: unknown): unknown {
  if (Array.isArray(tree)) return tree[Number(key)];
  return isTree(tree) && Object.hasOwn(tree, String(key)) ? tree[String(key)] : undefined;
}

/** In Go, a map of strings such as labels has an empty string under every missing key. */
function elementOf(tree: unknown, key: unknown): unknown {
  const found = fieldOf(tree, key);
  return found === undefined && isTree(tree) && Object.values(tree).every((value) => typeof value === "string")
    ? ""
    : found;
}

function annotation(metadata: unknown, name: unknown, fallback: unknown): string {
  const annotations = fieldOf(metadata, "annotations");
  const value = fieldOf(annotations, name) ?? fallback;
  return value === undefined ? "" : textOf(value);
}

function indented(count: unknown, text: unknown): string {
  const space = " ".repeat(Math.min(Number(count), maxIndent));
  return textOf(text)
    .split("\n")
    .map((line) => `${space}${line}`)
    .join("\n");
}
const maxIndent = 64;

function printed(format: unknown, ...values: readonly unknown[]): string {
  let at = 0;
  return textOf(format).replaceAll(/%([svdtq%])/g, (_, verb: string) => {
    if (verb === "%") return "%";
    const value = values[at];
    at += 1;
    return verb === "q" ? JSON.stringify(textOf(value)) : textOf(value);
  });
}

/** In Go, a missing field or key is the zero value of its type: an empty string, 0, false. */
function isSame(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (left === undefined || left === null)
    return right === undefined || right === null || right === "" || right === 0 || right === false;
  return (right === undefined || right === null) && isSame(right, left);
}

function compare(left: unknown, right: unknown): number {
  const [a, b] = typeof left === "number" && typeof right === "number" ? [left, right] : [textOf(left), textOf(right)];
  return a < b ? -1 : Number(a > b);
}

function trimmed(characters: unknown, text: unknown, ends: "both" | "start" | "end"): string {
  const cut = new Set(textOf(characters));
  let [from, to] = [0, textOf(text).length];
  const value = textOf(text);
  if (ends !== "end") while (from < to && cut.has(value[from] ?? "")) from += 1;
  if (ends !== "start") while (to > from && cut.has(value[to - 1] ?? "")) to -= 1;
  return value.slice(from, to);
}

function withoutNil(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNil);
  if (!isTree(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) =>
      item === null || item === undefined ? [] : [[key, withoutNil(item)]],
    ),
  );
}

function parsed(name: string, text: unknown, read: (text: string) => unknown): unknown {
  try {
    return read(textOf(text));
  } catch (error) {
    throw userError("template-failed", `${name} cannot read its text: ${messageOf(error)}`, { cause: error });
  }
}

export const templateFunctions: Readonly<Record<string, TemplateFunction>> = {
  and: (...values) => {
    const at = values.findIndex((value) => !isTrue(value));
    return at < 0 ? values.at(-1) : values[at];
  },
  or: (...values) => values.find(isTrue) ?? values.at(-1),
  not: (value) => !isTrue(value),
  eq: (left, ...rights) => rights.some((right) => isSame(left, right)),
  ne: (left, right) => !isSame(left, right),
  lt: (left, right) => compare(left, right) < 0,
  le: (left, right) => compare(left, right) <= 0,
  gt: (left, right) => compare(left, right) > 0,
  ge: (left, right) => compare(left, right) >= 0,
  len: (value) =>
    isTree(value) ? Object.keys(value).length : typeof value === "string" || Array.isArray(value) ? value.length : 0,
  index: (tree, ...keys) => keys.reduce(elementOf, tree),
  print: (...values) => values.map(textOf).join(""),
  printf: printed,
  default: (fallback, value) => (isTrue(value) ? value : fallback),
  valueOrDefault: (value, fallback) => (value === undefined || value === "" ? fallback : value),
  coalesce: (...values) => values.find(isTrue),
  empty: (value) => !isTrue(value),
  ternary: (yes, no, condition) => (isTrue(condition) ? yes : no),
  quote: (...values) =>
    values
      .filter((value) => value !== undefined)
      .map((value) => JSON.stringify(textOf(value)))
      .join(" "),
  squote: (...values) =>
    values
      .filter((value) => value !== undefined)
      .map((value) => `'${textOf(value)}'`)
      .join(" "),
  toString: (value: unknown) => textOf(value),
  atoi: (value) => Number.parseInt(textOf(value), 10) || 0,
  int: (value) => Number.parseInt(textOf(value), 10) || 0,
  add: (...values) => values.reduce<number>((sum, value) => sum + Number(value), 0),
  isset: (tree, key) => fieldOf(tree, key) !== undefined,
  hasKey: (tree, key) => fieldOf(tree, key) !== undefined,
  get: (tree, key) => fieldOf(tree, key) ?? "",
  has: (value, list) => listOf(list).includes(value),
  keys: (tree) => (isTree(tree) ? Object.keys(tree) : []),
  dict: (...pairs) =>
    Object.fromEntries(pairs.flatMap((key, at) => (at % 2 === 0 ? [[textOf(key), pairs[at + 1]]] : []))),
  list: (...values) => values,
  append: (list, value) => [...listOf(list), value],
  first: (list) => listOf(list)[0],
  last: (list) => listOf(list).at(-1),
  join: (separator, list) => listOf(list).map(textOf).join(textOf(separator)),
  splitList: (separator, text) => textOf(text).split(textOf(separator)),
  contains: (part, text) => textOf(text).includes(textOf(part)),
  hasPrefix: (part, text) => textOf(text).startsWith(textOf(part)),
  hasSuffix: (part, text) => textOf(text).endsWith(textOf(part)),
  replace: (from, to, text) => textOf(text).replaceAll(textOf(from), textOf(to)),
  trim: (text) => textOf(text).trim(),
  trimAll: (characters, text) => trimmed(characters, text, "both"),
  trimPrefix: (part, text) =>
    textOf(text).startsWith(textOf(part)) ? textOf(text).slice(textOf(part).length) : textOf(text),
  trimSuffix: (part, text) =>
    textOf(text).endsWith(textOf(part)) ? textOf(text).slice(0, -textOf(part).length || undefined) : textOf(text),
  trunc: (count, text) =>
    Number(count) < 0 ? textOf(text).slice(Number(count)) : textOf(text).slice(0, Number(count)),
  lower: (text) => textOf(text).toLowerCase(),
  toLower: (text) => textOf(text).toLowerCase(),
  upper: (text) => textOf(text).toUpperCase(),
  indent: indented,
  nindent: (count, text) => `\n${indented(count, text)}`,
  toYaml: (value) => stringify(value ?? null).trimEnd(),
  toJson: (value) => JSON.stringify(value ?? null),
  toJSON: (value) => JSON.stringify(value ?? null),
  structToJSON: (value) => JSON.stringify(value ?? null),
  protoToJSON: (value) => JSON.stringify(value ?? null),
  fromJSON: (text) => parsed("fromJSON", text, JSON.parse),
  fromYaml: (text) => parsed("fromYaml", text, parse),
  omitNil: withoutNil,
  omit: (tree, ...names) =>
    isTree(tree) ? Object.fromEntries(Object.entries(tree).filter(([key]) => !names.includes(key))) : tree,
  annotation: (metadata, name, fallback) => annotation(metadata, name, fallback),
  fail: (message) => {
    throw userError("template-failed", textOf(message));
  },
};
