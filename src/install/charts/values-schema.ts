type JsonType = "string" | "boolean" | "object" | "array" | "number";

/** A schema that checks the common values and accepts all others. The templates show which values they read. */
export function looseSchema(properties: Readonly<Record<string, JsonType>>): Record<string, unknown> {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    type: "object",
    additionalProperties: true,
    properties: Object.fromEntries(Object.entries(properties).map(([name, type]) => [name, { type }])),
  };
}
