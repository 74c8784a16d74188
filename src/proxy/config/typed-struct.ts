import { fromBinary, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import { messageOf } from "../../base/index.ts";
import { envoyRegistry, TypedStructSchema, XdsTypedStructSchema } from "../../wire/envoy/index.ts";
import { invalid } from "./config-check.ts";

/** A message as JSON, with its type. */
interface TypedJson {
  readonly typeUrl: string;
  readonly value: JsonObject;
}

/** The name of a type: the end of its URL. */
export function typeNameOf({ typeUrl }: Pick<TypedJson, "typeUrl">): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/** The content of a TypedStruct of either package. Undefined for any other type. */
export function typedJsonOf(any: Any): TypedJson | undefined {
  const schema = [TypedStructSchema, XdsTypedStructSchema].find(({ typeName }) => typeName === typeNameOf(any));
  if (schema === undefined) return undefined;
  const { typeUrl, value = {} } = fromBinary(schema, any.value);
  return { typeUrl, value };
}

/** The type of a configuration, also if a TypedStruct holds it. */
export function contentTypeUrl(any: Any): string {
  return typedJsonOf(any)?.typeUrl ?? any.typeUrl;
}

/**
 * The message that a TypedStruct describes as JSON, as EnvoyFilters often do. Any other Any is returned unchanged, and
 * so is a TypedStruct of a type that this proxy does not know. Throws if the JSON does not fit the type.
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

/** The content of an Any or of the TypedStruct in it, if this proxy knows its type. */
export function unpack(any: Any, where: string): ReturnType<typeof anyUnpack> {
  return anyUnpack(resolveTypedStruct(any, where), envoyRegistry());
}
