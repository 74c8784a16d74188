import { fromBinary, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../../base/index.ts";
import { envoyRegistry, TypedStructSchema, XdsTypedStructSchema } from "../../wire/envoy/index.ts";
import { invalid } from "./config-check.ts";

interface TypedJson {
  readonly typeUrl: string;
  readonly value: JsonObject;
}

/** The name of a type: the end of its URL. */
export function typeNameOf({ typeUrl }: Pick<TypedJson, "typeUrl">): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/**
 * The content of a TypedStruct of either of the packages `udpa.type.v1` and `xds.type.v3`. Undefined for any other
 * type.
 */
export function typedJsonOf(any: Any): TypedJson | undefined {
  const schema = [TypedStructSchema, XdsTypedStructSchema].find(({ typeName }) => typeName === typeNameOf(any));
  if (schema === undefined) return undefined;
  const { typeUrl, value = {} } = fromBinary(schema, any.value);
  return { typeUrl, value };
}

/** The URL of the type of a configuration, even if a TypedStruct contains the configuration. */
export function contentTypeUrl(any: Any): string {
  return typedJsonOf(any)?.typeUrl ?? any.typeUrl;
}

/**
 * Converts a TypedStruct, as EnvoyFilters often contain, to the message that it describes as JSON. Returns any other
 * Any unchanged, and also a TypedStruct of a type that this proxy does not know. Throws if the JSON does not fit the
 * type.
 */
export function resolveTypedStruct(any: Any, where: string): Any {
  const json = typedJsonOf(any);
  const schema = json && envoyRegistry().getMessage(typeNameOf(json));
  if (schema === undefined) return any;
  try {
    return anyPack(schema, fromJson(schema, json?.value ?? {}, { registry: envoyRegistry() }));
  } catch (error) {
    throw invalid(where, messageOf(error));
  }
}

/**
 * The message in an Any, or in the TypedStruct that the Any contains. Undefined if this proxy does not know its type.
 */
export function unpack(any: Any, where: string): ReturnType<typeof anyUnpack> {
  return anyUnpack(resolveTypedStruct(any, where), envoyRegistry());
}
