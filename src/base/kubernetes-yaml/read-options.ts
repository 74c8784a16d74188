import type { ScalarTag, Tags } from "yaml";

/** Types of YAML 1.1 that kubectl, istioctl and istiod do not support. They read such values as strings. */
const unreadTypes: ReadonlySet<string> = new Set(["timestamp", "binary", "omap", "pairs", "set"]);

const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"].map((text) => [text, true] as const),
  ...["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"].map((text) => [text, false] as const),
]);

const integer = /^[-+]?(?:0[bB][01_]+|0[oO][0-7_]+|0[xX][0-9a-fA-F_]+|[0-9][0-9_]*)$/;
const float = /^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9_]+)?$/;
/** Numbers that JSON does not have. Code that sends or stores a value must refuse them. */
const infinite = /^(?:([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

/** The number in a text that looks like one. Returns the text if it is not a number, as `0x_`. */
function numberOf(text: string): number | string {
  const [isInfinite, infinitySign] = infinite.exec(text) ?? [];
  if (isInfinite !== undefined) return infinitySign === undefined ? NaN : infinitySign === "-" ? -Infinity : Infinity;
  const digits = text.replaceAll("_", "");
  const sign = digits.startsWith("-") ? -1 : 1;
  const unsigned = digits.replace(/^[-+]/, "");
  const value = Number(/^0[0-7]+$/.test(unsigned) ? `0o${unsigned.slice(1)}` : unsigned);
  return Number.isFinite(value) && unsigned !== "" ? sign * value : text;
}

const scalarTags: readonly ScalarTag[] = [
  {
    tag: "tag:yaml.org,2002:bool",
    default: true,
    identify: (value) => typeof value === "boolean",
    test: new RegExp(`^(?:${[...booleans.keys()].join("|")})$`),
    resolve: (text) => booleans.get(text) ?? text,
  },
  {
    tag: "tag:yaml.org,2002:int",
    default: true,
    identify: Number.isInteger,
    test: integer,
    resolve: numberOf,
  },
  {
    tag: "tag:yaml.org,2002:float",
    default: true,
    identify: (value) => typeof value === "number",
    test: new RegExp(`${float.source}|${infinite.source}`),
    resolve: numberOf,
  },
];

const replacedTypes: ReadonlySet<string> = new Set(["bool", "int", "float"]);

/**
 * Options with which the package `yaml` reads texts as kubectl, istioctl and istiod do. They read YAML 1.1: `0644` is
 * octal, `yes` is true and `<<` merges a map. But unlike in the specification, `22:22` and dates are strings, and so is
 * `e5`, which the package would read as a number. Faults throw errors. Warnings are off, because the package would
 * write them to standard error, together with the author's text.
 */
export const readForKubernetes = {
  version: "1.1" as const,
  logLevel: "error" as const,
  customTags: (tags: Tags): Tags => [
    ...tags.filter((tag) => {
      const type = typeof tag === "string" ? "" : tag.tag.replace("tag:yaml.org,2002:", "");
      return !unreadTypes.has(type) && !replacedTypes.has(type);
    }),
    ...scalarTags,
  ],
};

/** The value of an unquoted text for kubectl, istioctl and istiod. */
export function plainScalar(text: string): string | number | boolean | null {
  if (/^(?:null|Null|NULL|~|)$/.test(text)) return null;
  return booleans.get(text) ?? ([integer, float, infinite].some((form) => form.test(text)) ? numberOf(text) : text);
}
