import { isTree } from "../base/index.ts";

/**
 * Renames fields from protobuf's names (`host_statuses`), which Envoy's admin port writes, to JSON's (`hostStatuses`),
 * which Istio's tools show. It works without knowledge of the messages, so it can convert an answer of any Envoy.
 */
export function jsonNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(jsonNames);
  if (!isTree(value)) return value;
  if (typeof value["@type"] === "string" && value["@type"].endsWith(".TypedStruct")) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      if (freeForm.has(name) || (name === "metadata" && isNodeMetadata(inner))) return [camelCase(name), inner];
      if (keyedByName.has(name) && isTree(inner))
        return [
          camelCase(name),
          Object.fromEntries(Object.entries(inner).map(([key, entry]) => [key, jsonNames(entry)])),
        ];
      return [camelCase(name), jsonNames(inner)];
    }),
  );
}

/** Fields that contain any JSON (`google.protobuf.Struct`), in which nothing is renamed. */
const freeForm = new Set([
  "filter_metadata",
  "filterMetadata",
  "json_format",
  "jsonFormat",
  "static_layer",
  "staticLayer",
  "static_request_params",
  "client_features",
]);
/** Maps with names as keys, which are not renamed. */
const keyedByName = new Set([
  "typed_per_filter_config",
  "typedPerFilterConfig",
  "typed_filter_metadata",
  "typedFilterMetadata",
  "typed_extension_protocol_options",
  "typedExtensionProtocolOptions",
  "policies",
  "providers",
  "requirement_map",
  "requirementMap",
  "map",
]);

/**
 * Whether `metadata` is a node's, so that it may contain any JSON. That of a cluster or route has a field
 * `filterMetadata` or `typedFilterMetadata`.
 */
function isNodeMetadata(value: unknown): boolean {
  return isTree(value) && !Object.keys(value).some((name) => /^(typed_?)?filter_?metadata$/i.test(name));
}

function camelCase(name: string): string {
  return /^[a-z][a-z0-9_]*$/.test(name)
    ? name.replace(/(?<!_)_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
    : name;
}
