import { parse, stringify } from "yaml";
import { isTree, messageOf, userError } from "../base/index.ts";
import { readForKubernetes, writtenForKubernetes } from "../base/kubernetes-yaml/index.ts";
import { elementOf, templateFunctions, textOf, type TemplateFunction } from "../base/go-template/index.ts";

/** Looks up a key as Go's `index` does: in a map of strings, such as labels, a missing key gives an empty string. */
function index(tree: unknown, key: unknown): unknown {
  const found = elementOf(tree, key);
  return found === undefined && isTree(tree) && Object.values(tree).every((value) => typeof value === "string")
    ? ""
    : found;
}

function annotation(metadata: unknown, name: unknown, fallback: unknown): string {
  return textOf(elementOf(elementOf(metadata, "annotations"), name) ?? fallback);
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
    throw userError("template-failed", `${name} cannot parse its argument: ${messageOf(error)}`, { cause: error });
  }
}

const toJson: TemplateFunction = (value) => JSON.stringify(value ?? null);

export const podTemplateFunctions: Readonly<Record<string, TemplateFunction>> = {
  ...templateFunctions,
  index: (tree, ...keys) => keys.reduce(index, tree),
  valueOrDefault: (value, fallback) => (value === undefined || value === "" ? fallback : value),
  isset: (tree, key) => elementOf(tree, key) !== undefined,
  toLower: (text) => textOf(text).toLowerCase(),
  toYaml: (value) => stringify(value ?? null, writtenForKubernetes).trimEnd(),
  toJSON: toJson,
  structToJSON: toJson,
  protoToJSON: toJson,
  fromJSON: (text) => parsed("fromJSON", text, JSON.parse),
  fromYaml: (text) => parsed("fromYaml", text, (given) => parse(given, readForKubernetes) as unknown),
  omitNil: withoutNil,
  annotation: (metadata, name, fallback) => annotation(metadata, name, fallback),
};
