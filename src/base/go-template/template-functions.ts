import { isTree } from "../json.ts";
import { failed } from "./malformed.ts";
import { checkLength } from "./render-budget.ts";
import { elementOf, isTrue, listOf, textOf, type TemplateFunction } from "./values.ts";

const maxIndent = 64;

function indent(count: unknown, text: unknown): string {
  const space = " ".repeat(Math.max(0, Math.min(Math.trunc(Number(count)) || 0, maxIndent)));
  return joined(
    "\n",
    textOf(text)
      .split("\n")
      .map((line) => `${space}${line}`),
  );
}

/** Joins texts. Checks the length before it does, because the result could have any length. */
function joined(separator: string, texts: readonly string[]): string {
  checkLength(texts.reduce((sum, text) => sum + text.length + separator.length, 0) - separator.length);
  return texts.join(separator);
}

function printf(format: unknown, ...values: readonly unknown[]): string {
  let at = 0;
  const pieces = textOf(format)
    .split(/(%[svdtq%])/)
    .map((piece, index) => {
      if (index % 2 === 0) return piece;
      if (piece === "%%") return "%";
      const value = textOf(values[at]);
      at += 1;
      return piece === "%q" ? JSON.stringify(value) : value;
    });
  return joined("", pieces);
}

function replace(from: unknown, to: unknown, text: unknown): string {
  return joined(textOf(to), textOf(text).split(textOf(from)));
}

/**
 * Compares two values as Go does. A missing field or key equals the zero value of its type: an empty string, 0 or
 * false.
 */
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

function trimAll(characters: unknown, text: unknown): string {
  const cut = new Set(textOf(characters));
  const value = textOf(text);
  let [from, to] = [0, value.length];
  while (from < to && cut.has(value[from] ?? "")) from += 1;
  while (to > from && cut.has(value[to - 1] ?? "")) to -= 1;
  return value.slice(from, to);
}

function int(value: unknown): number {
  return Math.trunc(Number(value ?? 0)) || 0;
}

function quoted(values: readonly unknown[], quote: (text: string) => string): string {
  const present = values.filter((value) => value !== undefined && value !== null);
  return joined(
    " ",
    present.map((value) => quote(textOf(value))),
  );
}

function length(value: unknown): number {
  if (isTree(value)) return Object.keys(value).length;
  return typeof value === "string" || Array.isArray(value) ? value.length : 0;
}

function chosen(tree: unknown, keep: (key: string) => boolean): unknown {
  return isTree(tree) ? Object.fromEntries(Object.entries(tree).filter(([key]) => keep(key))) : {};
}

function joinList(separator: unknown, value: unknown): string {
  return Array.isArray(value) ? joined(textOf(separator), value.map(textOf)) : textOf(value);
}

/**
 * The functions of Go's text/template and of Sprig that templates of pods and charts call. Arguments are in the order
 * of the call, and the piped one is the last. No function changes its arguments.
 */
export const templateFunctions: Readonly<Record<string, TemplateFunction>> = {
  not: (value) => !isTrue(value),
  eq: (left, ...rights) => rights.some((right) => isSame(left, right)),
  ne: (left, right) => !isSame(left, right),
  lt: (left, right) => compare(left, right) < 0,
  le: (left, right) => compare(left, right) <= 0,
  gt: (left, right) => compare(left, right) > 0,
  ge: (left, right) => compare(left, right) >= 0,
  len: length,
  index: (tree, ...keys) => keys.reduce(elementOf, tree),
  print: (...values) => joined("", values.map(textOf)),
  printf,
  default: (fallback, value) => (isTrue(value) ? value : fallback),
  coalesce: (...values) => values.find(isTrue),
  empty: (value) => !isTrue(value),
  ternary: (yes, no, condition) => (isTrue(condition) ? yes : no),
  quote: (...values) => quoted(values, (text) => JSON.stringify(text)),
  squote: (...values) => quoted(values, (text) => `'${text}'`),
  toString: (value: unknown) => textOf(value),
  atoi: (value) => int(value),
  int: (value) => int(value),
  add: (...values) => values.reduce<number>((sum, value) => sum + Number(value), 0),
  hasKey: (tree, key) => elementOf(tree, key) !== undefined,
  get: (tree, key) => elementOf(tree, key) ?? "",
  has: (value, values) => listOf(values).includes(value),
  keys: (tree) => (isTree(tree) ? Object.keys(tree) : []),
  dict: (...pairs) =>
    Object.fromEntries(pairs.flatMap((key, at) => (at % 2 === 0 ? [[textOf(key), pairs[at + 1]]] : []))),
  list: (...values) => values,
  append: (values, value) => [...listOf(values), value],
  first: (values) => listOf(values)[0],
  last: (values) => listOf(values).at(-1),
  join: joinList,
  splitList: (separator, text) => textOf(text).split(textOf(separator)),
  contains: (part, text) => textOf(text).includes(textOf(part)),
  hasPrefix: (part, text) => textOf(text).startsWith(textOf(part)),
  hasSuffix: (part, text) => textOf(text).endsWith(textOf(part)),
  replace,
  trim: (text) => textOf(text).trim(),
  trimAll,
  trimPrefix: (part, text) =>
    textOf(text).startsWith(textOf(part)) ? textOf(text).slice(textOf(part).length) : textOf(text),
  trimSuffix: (part, text) =>
    textOf(text).endsWith(textOf(part))
      ? textOf(text).slice(0, textOf(text).length - textOf(part).length)
      : textOf(text),
  trunc: (count, text) =>
    Number(count) < 0 ? textOf(text).slice(Number(count)) : textOf(text).slice(0, Number(count)),
  lower: (text) => textOf(text).toLowerCase(),
  upper: (text) => textOf(text).toUpperCase(),
  indent,
  nindent: (count, text) => `\n${indent(count, text)}`,
  toJson: (value) => JSON.stringify(value ?? null),
  omit: (tree, ...names) => chosen(tree, (key) => !names.includes(key)),
  pick: (tree, ...names) => chosen(tree, (key) => names.includes(key)),
  fail: (message) => {
    throw failed(textOf(message));
  },
};
