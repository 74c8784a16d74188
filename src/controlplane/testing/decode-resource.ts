import { fromBinary, toJson, type DescMessage, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyRegistry } from "../../wire/envoy/index.ts";
import type { EncodedResource } from "../translate/resource.ts";

/** The content of a resource as protobuf JSON. */
export function decodeResource(schema: DescMessage, resource: EncodedResource | undefined): JsonObject {
  if (resource === undefined) throw new Error("there is no such resource");
  return toJson(schema, fromBinary(schema, fromBinary(AnySchema, resource.any).value), {
    registry: envoyRegistry(),
  }) as JsonObject;
}

/** The value at a path of keys and indexes. Undefined if there is none. */
export function valueAt(value: JsonValue | undefined, ...path: readonly (string | number)[]): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>(
    (found, key) => (found as Record<string | number, JsonValue> | undefined)?.[key],
    value,
  );
}
