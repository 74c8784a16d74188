import { create, toJson, type DescMessage, type JsonValue, type MessageShape, type Registry } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, StringValueSchema, type Any } from "@bufbuild/protobuf/wkt";
import { envoyRegistry } from "../../wire/envoy/index.ts";

/**
 * A resource as JSON, with protobuf's names of its fields. `registry` contains the types of the messages that an Any in
 * the resource may hold.
 */
export function resourceJson<Schema extends DescMessage>(
  schema: Schema,
  message: MessageShape<Schema>,
  registry: Registry = envoyRegistry(),
): JsonValue {
  try {
    return toJson(schema, message, { registry, useProtoFieldName: true });
  } catch {
    return toJson(schema, knownOnly(message, registry) as MessageShape<Schema>, { registry, useProtoFieldName: true });
  }
}

/**
 * Replaces each Any of an unknown type, at any depth, by the name of its type, because JSON cannot show its content.
 */
function knownOnly(value: unknown, registry: Registry): unknown {
  if (Array.isArray(value)) return value.map((inner) => knownOnly(inner, registry));
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (isAny(value)) {
    const name = value.typeUrl.split("/").at(-1) ?? "";
    const schema = registry.getMessage(name);
    const inner = schema === undefined ? undefined : anyUnpack(value, registry);
    if (schema === undefined || inner === undefined)
      return anyPack(
        StringValueSchema,
        create(StringValueSchema, { value: `a message of the type ${name}, which this proxy does not know` }),
      );
    return anyPack(schema, knownOnly(inner, registry) as MessageShape<typeof schema>);
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, knownOnly(inner, registry)]));
}

function isAny(value: object): value is Any {
  return Reflect.get(value, "$typeName") === "google.protobuf.Any";
}
