import { ownField } from "../../../base/index.ts";
import typeNames from "#generated/envoy/type-names.json" with { type: "json" };
import type { Reader } from "../../reader.ts";

/** Message names by package, separated by spaces. */
const namesOf: Readonly<Record<string, string>> = typeNames;
const own = new Set([
  "google.protobuf.Any",
  "google.protobuf.Struct",
  "google.protobuf.StringValue",
  "google.protobuf.BoolValue",
  "google.protobuf.UInt32Value",
  "google.protobuf.Empty",
  "google.protobuf.Value",
]);

export function isEnvoyType(name: string): boolean {
  const dot = name.lastIndexOf(".");
  return (
    own.has(name) ||
    (ownField(namesOf, name.slice(0, dot))
      ?.split(" ")
      .includes(name.slice(dot + 1)) ??
      false)
  );
}

/** Reports types in the configuration that Envoy does not have, each at its field. */
export function checkEnvoyValue(value: Reader): void {
  visit(value, value.raw, "");
}

function visit(reader: Reader, value: unknown, path: string): void {
  if (Array.isArray(value)) for (const [index, item] of value.entries()) visit(reader, item, `${path}[${index}]`);
  else if (typeof value === "object" && value !== null) visitObject(reader, value, path);
}

function visitObject(reader: Reader, value: object, path: string): void {
  const at = (field: string): string => (path === "" ? field : `${path}.${field}`);
  const type: unknown = Reflect.get(value, "@type");
  if (type !== undefined) checkType(reader, type, at("@type"));
  // A struct may contain anything, so its content has no type to check.
  if (typeof type === "string" && /\.(TypedStruct|Struct)$/.test(type)) return;
  for (const [field, item] of Object.entries(value)) visit(reader, item, at(field));
}

function checkType(reader: Reader, type: unknown, field: string): void {
  if (typeof type !== "string")
    return reader.error(
      "must be a type URL, such as type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
      field,
    );
  const name = type.slice(type.lastIndexOf("/") + 1);
  if (isEnvoyType(name)) return;
  const hint = /\.v2(alpha\d*)?\./.test(name) ? "; Envoy no longer has API v2, use the type of v3" : "";
  reader.error(`is not a type of Envoy's API: "${name}"${hint}`, field);
}
