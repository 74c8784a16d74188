import type { Attribute, AttributeMap } from "./messages.ts";

interface NodeSettings {
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** The facts about the proxy's node, in the form in which modules can read them. */
export function nodeAttributes(id: string, { metadata }: NodeSettings): AttributeMap {
  return { id, metadata: mapOf(metadata) };
}

function mapOf(record: object): AttributeMap {
  const found: Record<string, Attribute> = {};
  for (const [name, value] of Object.entries(record)) {
    const attribute = attributeOf(value);
    if (attribute !== undefined) found[name] = attribute;
  }
  return found;
}

function attributeOf(value: unknown): Attribute | undefined {
  if (typeof value === "string" || typeof value === "boolean") return value;
  // Give numbers as text, because protobuf's structures only have floating point numbers.
  if (typeof value === "number") return String(value);
  return typeof value === "object" && value !== null ? mapOf(value) : undefined;
}
