import type { Schema } from "./schema.ts";

/** Texts for numbers of seconds that are hard to read. */
const longTimes: Readonly<Record<number, string>> = {
  86_400: "1 day",
  2_592_000: "30 days",
  31_622_400: "366 days",
};

interface Bounds {
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly items?: Bounds;
}

/**
 * Returns the limits of a schema as sentences, because `kubectl explain` shows a field's description but not its
 * limits. The text is empty if there are no limits. A name that ends with Seconds means a number of seconds.
 */
export function limitsText(name: string, schema: Schema): string {
  const bounds = schema as Bounds;
  const sentences = [
    numberLimits(name, bounds),
    bounds.maxLength === undefined ? "" : `at most ${bounds.maxLength} characters`,
    listLimits(bounds),
    bounds.maxProperties === undefined ? "" : `at most ${bounds.maxProperties} entries`,
    bounds.items === undefined ? "" : eachOf(limitsText(name, bounds.items as Schema)),
  ];
  return sentences
    .filter((sentence) => sentence !== "")
    .map((sentence) => `${sentence.charAt(0).toUpperCase()}${sentence.slice(1).replace(/\.$/, "")}.`)
    .join(" ");
}

function numberLimits(name: string, { minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Bounds): string {
  const shown = (value: number): string => {
    const long = name.endsWith("Seconds") ? longTimes[value] : undefined;
    return long === undefined ? `${value}` : `${value} (${long})`;
  };
  if (minimum === undefined || maximum === undefined) {
    if (minimum !== undefined) return `${exclusiveMinimum === true ? "above" : "at least"} ${shown(minimum)}`;
    return maximum === undefined ? "" : `${exclusiveMaximum === true ? "below" : "at most"} ${shown(maximum)}`;
  }
  return exclusiveMinimum === true || exclusiveMaximum === true
    ? `above ${shown(minimum)}, and ${exclusiveMaximum === true ? "below" : "at most"} ${shown(maximum)}`
    : `from ${shown(minimum)} to ${shown(maximum)}`;
}

function listLimits({ minItems, maxItems }: Bounds): string {
  if (maxItems === undefined) return minItems === undefined ? "" : `at least ${minItems} entries`;
  return minItems === undefined ? `at most ${maxItems} entries` : `from ${minItems} to ${maxItems} entries`;
}

function eachOf(limits: string): string {
  return limits === "" ? "" : `each entry ${limits.charAt(0).toLowerCase()}${limits.slice(1)}`;
}

/**
 * Returns the schemas with their limits at the end of each description. If a description states a maximum of
 * characters, this one is kept, because the parser allows fewer characters than the schema.
 */
export function withLimits(properties: Readonly<Record<string, Schema>>): Record<string, Schema> {
  return Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, withLimit(name, schema)]));
}

function withLimit(name: string, schema: Schema): Schema {
  const {
    description = "",
    items,
    properties,
  } = schema as {
    readonly description?: string;
    readonly items?: Schema;
    readonly properties?: Readonly<Record<string, Schema>>;
  };
  const stated = /at most \d+ characters/i.test(description) ? { ...schema, maxLength: undefined } : schema;
  const limits = limitsText(name, stated);
  return {
    ...schema,
    ...(limits === "" ? {} : { description: `${description} ${limits}` }),
    ...(properties === undefined ? {} : { properties: withLimits(properties) }),
    ...(items === undefined ? {} : { items: { ...items, ...itemProperties(items) } }),
  };
}

function itemProperties(items: Schema): Schema {
  const { properties } = items as { readonly properties?: Readonly<Record<string, Schema>> };
  return properties === undefined ? {} : { properties: withLimits(properties) };
}
