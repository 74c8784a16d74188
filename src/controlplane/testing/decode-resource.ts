import { fromBinary, toJson, type DescMessage, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { envoyRegistry } from "../../wire/envoy/index.ts";
import type { EncodedResource } from "../translate/resource.ts";

/**
 * Resources never change, and tests ask for the parts of a large one again and again, so the decoded content is kept.
 */
const decoded = new WeakMap<EncodedResource, JsonObject>();

/**
 * The content of a resource as protobuf JSON. Nobody may change it, because it is the same object for the same
 * resource.
 */
export function decodeResource(schema: DescMessage, resource: EncodedResource | undefined): JsonObject {
  if (resource === undefined) throw new Error("there is no such resource");
  let content = decoded.get(resource);
  if (content === undefined) {
    const message = fromBinary(schema, fromBinary(AnySchema, resource.any).value);
    content = toJson(schema, message, { registry: envoyRegistry() }) as JsonObject;
    decoded.set(resource, content);
  }
  return content;
}

/** The value at a path of keys and indexes. Undefined if there is none. */
export function valueAt(value: JsonValue | undefined, ...path: readonly (string | number)[]): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>(
    (found, key) => (found as Record<string | number, JsonValue> | undefined)?.[key],
    value,
  );
}
