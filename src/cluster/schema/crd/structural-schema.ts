import { isObject, type JsonObject } from "../json.ts";
import { anyShape, granularAnyShape, type FieldShape, type Shape, type StructShape } from "../shape.ts";

export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: string;
  readonly fieldPath?: string;
  readonly optionalOldSelf?: boolean;
}

/** The part of an OpenAPI v3 schema that a CRD may use (apiextensions/v1 JSONSchemaProps). */
export interface StructuralSchema {
  readonly type?: string;
  readonly format?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly nullable?: boolean;
  readonly enum?: readonly unknown[];
  readonly maximum?: number;
  readonly exclusiveMaximum?: boolean;
  readonly minimum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly multipleOf?: number;
  readonly maxLength?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly maxItems?: number;
  readonly minItems?: number;
  readonly uniqueItems?: boolean;
  readonly maxProperties?: number;
  readonly minProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema | boolean;
  readonly items?: StructuralSchema;
  readonly allOf?: readonly StructuralSchema[];
  readonly oneOf?: readonly StructuralSchema[];
  readonly anyOf?: readonly StructuralSchema[];
  readonly not?: StructuralSchema;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
  readonly "x-kubernetes-embedded-resource"?: boolean;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-list-type"?: "atomic" | "set" | "map";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: "atomic" | "granular";
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
}

/**
 * The schema of fields that `properties` does not name. Returns `true` if any value is allowed, and undefined if such
 * fields are dropped.
 */
export function schemaOfRest(schema: StructuralSchema): StructuralSchema | true | undefined {
  const { additionalProperties } = schema;
  if (additionalProperties === true || schema["x-kubernetes-preserve-unknown-fields"] === true) {
    return typeof additionalProperties === "object" ? additionalProperties : true;
  }
  return typeof additionalProperties === "object" ? additionalProperties : undefined;
}

/**
 * The schema of a property. It ignores inherited members of the JavaScript object, so that `constructor` is an ordinary
 * name.
 */
export function propertySchema(schema: StructuralSchema, key: string): StructuralSchema | undefined {
  const { properties } = schema;
  return properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : undefined;
}

/**
 * Converts the CRD's schema to the shape that server-side apply uses. `objectMeta` is the shape of built-in metadata.
 */
export function shapeOfStructuralSchema(schema: StructuralSchema, objectMeta: Shape): StructShape {
  return structShape(schema, true, objectMeta);
}

const stringShape: Shape = { kind: "scalar", code: "s" };

function field(name: string, shape: Shape, fallback: unknown): FieldShape {
  return { name, shape, always: false, omitted: false, strategy: [], mergeKey: undefined, default: fallback };
}

function structShape(schema: StructuralSchema, root: boolean, objectMeta: Shape): StructShape {
  let fields: Map<string, FieldShape> | undefined;
  const rest = schemaOfRest(schema);
  const restShape = rest === undefined ? undefined : rest === true ? granularAnyShape : toShape(rest, objectMeta);
  const embedded = root || schema["x-kubernetes-embedded-resource"] === true;
  return {
    kind: "struct",
    name: "",
    rest: restShape,
    atomic: schema["x-kubernetes-map-type"] === "atomic",
    embedded,
    wire: [],
    get fields() {
      if (fields !== undefined) return fields;
      fields = new Map();
      for (const [name, property] of Object.entries(schema.properties ?? {}))
        fields.set(name, field(name, toShape(property, objectMeta), property.default));
      if (embedded) {
        for (const name of ["apiVersion", "kind"]) fields.set(name, field(name, stringShape, undefined));
        fields.set("metadata", field("metadata", objectMeta, undefined));
      }
      return fields;
    },
  };
}

function toShape(schema: StructuralSchema, objectMeta: Shape): Shape {
  const { type, properties, additionalProperties, items } = schema;
  const preserves = schema["x-kubernetes-preserve-unknown-fields"] === true;
  if (schema["x-kubernetes-int-or-string"] === true) return { kind: "scalar", code: "I" };
  if (type === "array") {
    const item = items === undefined ? anyShape : toShape(items, objectMeta);
    const listType = schema["x-kubernetes-list-type"] ?? "atomic";
    return { kind: "list", item, listType, keys: schema["x-kubernetes-list-map-keys"] ?? [], wrapped: false };
  }
  if (type === "object" || properties !== undefined || schema["x-kubernetes-embedded-resource"] === true) {
    const atomic = schema["x-kubernetes-map-type"] === "atomic";
    if (properties === undefined && typeof additionalProperties === "object")
      return { kind: "map", value: toShape(additionalProperties, objectMeta), atomic };
    return structShape(schema, false, objectMeta);
  }
  if (type === undefined) return preserves ? granularAnyShape : anyShape;
  return { kind: "scalar", code: scalarCodes[type] ?? "s" };
}

const scalarCodes: Readonly<Record<string, "s" | "b" | "l" | "d">> = {
  string: "s",
  boolean: "b",
  integer: "l",
  number: "d",
};

/** The schema of one served version of a CRD. Without a schema, every field is preserved. */
export function schemaOfVersion(version: JsonObject): StructuralSchema {
  const holder = version.schema;
  const schema = isObject(holder) ? holder.openAPIV3Schema : undefined;
  return isObject(schema) ? schema : { type: "object", "x-kubernetes-preserve-unknown-fields": true };
}
