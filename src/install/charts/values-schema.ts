import { isTree } from "../../base/index.ts";
import {
  expectations,
  percentPattern,
  switchPattern,
  valueTypes,
  type ValueType,
  type ValueTypes,
} from "../value-types.ts";

/** A JSON schema of a chart's values. It accepts unknown values. */
export interface ValuesSchema {
  readonly $schema?: string;
  readonly type: readonly string[] | string;
  /** The expected value, as an error message names it. */
  readonly description?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxProperties?: number;
  readonly properties?: Readonly<Record<string, ValuesSchema>>;
  readonly additionalProperties?: boolean;
}

/**
 * The schema of a chart's values. `strict` are top-level values that a template would misread if they had another type.
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

/** The types of the values below a key of `spec.values`, for a chart that has them at its top level. */
export function typesBelow(key: string): ValueTypes {
  const types = valueTypes[key];
  return typeof types === "object" ? types : {};
}

function propertiesOf(types: ValueTypes): Readonly<Record<string, ValuesSchema>> {
  return Object.fromEntries(Object.entries(types).map(([name, type]) => [name, schemaOf(type)]));
}

/** The schemas accept null, because Helm passes on null for a value without a default. */
function schemaOf(type: ValueType | ValueTypes): ValuesSchema {
  if (isTree(type)) return { description: expectations.map, ...schemas.map, properties: propertiesOf(type) };
  return { description: expectations[type], ...schemas[type] };
}

/**
 * The patterns apply only to strings. A whole number may be a string, because a template writes both forms equally. A
 * boolean may not, because a template would treat "false" as true. The empty string means that the value is not set.
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
