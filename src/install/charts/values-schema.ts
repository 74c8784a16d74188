import { isTree } from "../../base/index.ts";
import {
  expectations,
  percentPattern,
  switchPattern,
  valueTypes,
  type ValueType,
  type ValueTypes,
} from "../value-types.ts";

/** A schema that accepts values it does not know. The templates show which values they read. */
export interface ValuesSchema {
  readonly $schema?: string;
  readonly type: readonly string[] | string;
  /** The expected value, in the words of an error message. */
  readonly description?: string;
  /** For texts. */
  readonly pattern?: string;
  /** For numbers. */
  readonly minimum?: number;
  readonly maximum?: number;
  /** For objects. */
  readonly maxProperties?: number;
  readonly properties?: Readonly<Record<string, ValuesSchema>>;
  readonly additionalProperties?: boolean;
}

/**
 * A schema with the types of the chart's values. `strict` are those at the top level that a template would misread if
 * they had another type.
 */
export function valuesSchema(types: ValueTypes, strict: Readonly<Record<string, "string">> = {}): ValuesSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    additionalProperties: true,
    properties: {
      ...propertiesOf(types),
      ...Object.fromEntries(Object.entries(strict).map(([name, type]) => [name, { description: `a ${type}`, type }])),
    },
  };
}

/** The types of `spec.values` below a key, for a chart that has these values at its top level. */
export function typesBelow(key: string): ValueTypes {
  const types = valueTypes[key];
  return typeof types === "object" ? types : {};
}

function propertiesOf(types: ValueTypes): Readonly<Record<string, ValuesSchema>> {
  return Object.fromEntries(Object.entries(types).map(([name, type]) => [name, schemaOf(type)]));
}

/** Helm keeps null for a value that has no default. */
function schemaOf(type: ValueType | ValueTypes): ValuesSchema {
  if (isTree(type)) return { description: expectations.map, ...schemas.map, properties: propertiesOf(type) };
  return { description: expectations[type], ...schemas[type] };
}

/**
 * A whole number may be a text, because a template writes it the same with and without quotes. But a template would
 * treat the text "false" as true, and Kubernetes does not accept the text "2" as a number of pods. An empty text means
 * that the value is not set.
 */
const schemas: Readonly<Record<ValueType, ValuesSchema>> = {
  boolean: { description: "true or false, without quotes", type: ["boolean", "string", "null"], pattern: "^(true)?$" },
  whole: { type: ["integer", "string", "null"], minimum: 0, pattern: "^[0-9]*$" },
  share: { type: ["integer", "string", "object", "null"], minimum: 0, pattern: "^[0-9]*$", maxProperties: 0 },
  number: { type: ["number", "string", "null"], minimum: 0, pattern: "^([0-9]+([.][0-9]+)?)?$" },
  part: { type: ["integer", "string", "null"], minimum: 0, pattern: "^([0-9]+%)?$" },
  percent: {
    type: ["number", "string", "null"],
    minimum: 0,
    maximum: 100,
    pattern: `^$|${percentPattern.source}`,
  },
  switch: {
    type: ["boolean", "string", "integer", "null"],
    minimum: 0,
    maximum: 1,
    pattern: `^$|${switchPattern.source}`,
  },
  text: { type: ["string", "number", "boolean", "null"] },
  list: { type: ["array", "string", "null"], pattern: "^$" },
  map: { type: ["object", "string", "null"], pattern: "^$" },
};
