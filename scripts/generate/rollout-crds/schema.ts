/** A structural schema of a custom resource (apiextensions.k8s.io/v1 JSONSchemaProps). */
export type Schema = Readonly<Record<string, unknown>>;

/** Extra members of a schema: `description`, `maxLength`, `x-kubernetes-validations`, … */
type Extra = Readonly<Record<string, unknown>>;

/** A rule in CEL with its message, for `x-kubernetes-validations`. */
export function rules(...pairs: readonly (readonly [rule: string, message: string])[]): Extra {
  return { "x-kubernetes-validations": pairs.map(([rule, message]) => ({ rule, message })) };
}

export function object(
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[] = [],
  extra: Extra = {},
): Schema {
  return { type: "object", ...extra, properties, ...(required.length === 0 ? {} : { required }) };
}

export function text(description = "", extra: Extra = {}): Schema {
  return { type: "string", ...described(description), ...extra };
}

export function oneOf(words: readonly string[], description = ""): Schema {
  return { type: "string", ...described(description), enum: words };
}

export function integer(minimum: number, maximum: number, description = ""): Schema {
  return { type: "integer", ...described(description), minimum, maximum };
}

export function number(description = "", extra: Extra = {}): Schema {
  return { type: "number", ...described(description), ...extra };
}

export function flag(description = ""): Schema {
  return { type: "boolean", ...described(description) };
}

export function list(items: Schema, maxItems: number, extra: Extra = {}): Schema {
  return { type: "array", ...extra, items, maxItems };
}

export function strings(maxItems: number, description = ""): Schema {
  return list({ type: "string", maxLength: 1024 }, maxItems, described(description));
}

export function stringMap(description = ""): Schema {
  return { type: "object", ...described(description), additionalProperties: { type: "string" }, maxProperties: 64 };
}

/** Returns the schema of any value, which the API server stores unchanged. */
export function anything(description = ""): Schema {
  return { ...described(description), "x-kubernetes-preserve-unknown-fields": true };
}

export function anyObject(description = ""): Schema {
  return { type: "object", ...described(description), "x-kubernetes-preserve-unknown-fields": true };
}

function described(description: string): Extra {
  return description === "" ? {} : { description };
}
