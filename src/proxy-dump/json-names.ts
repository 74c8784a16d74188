/**
 * Envoy's admin writes field names as protobuf has them (`host_statuses`); tools of Istio show them as JSON has them
 * (`hostStatuses`). Renames without knowing the messages, so that any Envoy's answer can be shown.
 */
export function jsonNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(jsonNames);
  if (!isRecord(value)) return value;
  if (typeof value["@type"] === "string" && value["@type"].endsWith(".TypedStruct")) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      if (freeForm.has(name) || (name === "metadata" && isNodeMetadata(inner))) return [camelCase(name), inner];
      if (keyedByName.has(name) && isRecord(inner))
        return [
          camelCase(name),
          Object.fromEntries(Object.entries(inner).map(([key, entry]) => [key, jsonNames(entry)])),
        ];
      return [camelCase(name), jsonNames(inner)];
    }),
  );
}

/** Values of any JSON (`google.protobuf.Struct`): their names are their own. */
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
/** Maps whose keys are names, not fields. */
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

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A node's metadata is free; that of a cluster or route holds the metadata of filters. */
function isNodeMetadata(value: unknown): boolean {
  return isRecord(value) && !Object.keys(value).some((name) => /^(typed_?)?filter_?metadata$/i.test(name));
}

function camelCase(name: string): string {
  return /^[a-z][a-z0-9_]*$/.test(name)
    ? name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
    : name;
}
