import { parse, stringify } from "yaml";
import { isTree, userError } from "../../base/index.ts";
import { readForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { elementOf, isTrue, templateFunctions, textOf, type TemplateFunction } from "../../base/go-template/index.ts";

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
  const sorted = (_key: string, inner: unknown): unknown =>
    isTree(inner) ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1))) : inner;
  return JSON.stringify(value, sorted, 2);
}

/** Merges the sources into the target, which it changes. `wins` decides which value a field keeps that several have. */
function mergeInto(target: unknown, sources: readonly unknown[], wins: "first" | "last"): unknown {
  if (!isTree(target)) return target;
  for (const source of sources) {
    if (!isTree(source)) continue;
    for (const [key, value] of Object.entries(source)) {
      const known = elementOf(target, key);
      if (isTree(known) && isTree(value)) mergeInto(known, [value], wins);
      // A plain assignment to the key `__proto__` would change the prototype.
      else if (wins === "last" || !isTrue(known))
        Object.defineProperty(target, key, { value, configurable: true, enumerable: true, writable: true });
    }
  }
  return target;
}

/**
 * The functions of helm that our charts use. Unlike all functions of `templateFunctions`, `merge` and `mergeOverwrite`
 * change their first argument.
 */
export const helmFunctions: Readonly<Record<string, TemplateFunction>> = {
  ...templateFunctions,
  // As in helm, a missing value differs from an empty one.
  eq: (value, ...others) => others.includes(value),
  ne: (a, b) => a !== b,
  deepCopy: (value) => structuredClone(value),
  fail: (message) => {
    throw userError("chart-values", textOf(message));
  },
  fromJson: (text) => JSON.parse(textOf(text)) as unknown,
  fromYaml: (text) => (parse(textOf(text), readForKubernetes) as unknown) ?? {},
  // Finds no object, like `helm template`.
  lookup: () => ({}),
  merge: (target, ...sources) => mergeInto(target, sources, "first"),
  mergeOverwrite: (target, ...sources) => mergeInto(target, sources, "last"),
  toPrettyJson,
  toYaml,
};
