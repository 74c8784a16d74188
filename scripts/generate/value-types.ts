// Generates generated/install/value-types.json: the types of the keys under `spec.values`, read from a clone of
// github.com/istio/istio.
//   node scripts/generate/value-types.ts <clone> [reference]
// The generated file holds only keys and types. It copies no text from Istio.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installValues } from "./install-values.ts";

const [clone = "", reference = "HEAD"] = process.argv.slice(2);
if (clone === "") {
  console.error("usage: node scripts/generate/value-types.ts <clone of istio/istio> [reference]");
  process.exit(2);
}

type Types = Map<string, string | Types>;

const numberTypes = /^u?int(32|64)$|UInt32Value$|Int32Value$/;

/** Returns the type of a proto field that is no message of its own. Returns undefined if any value is allowed. */
function typeOf(field: string): string | undefined {
  if (field === "repeated") return "list";
  if (field.startsWith("map") || field.endsWith(".Struct")) return "map";
  if (field === "bool" || field.endsWith("BoolValue")) return "boolean";
  if (field === "double" || field === "float") return "number";
  if (numberTypes.test(field)) return "whole";
  if (field === "IntOrString") return "part";
  return field.endsWith(".Value") ? undefined : "text";
}

function ofMessage(messages: ReadonlyMap<string, ReadonlyMap<string, string>>, name: string): Types {
  const types: Types = new Map();
  for (const [field, proto] of messages.get(name) ?? []) {
    const isOwn = proto !== "IntOrString" && messages.has(proto);
    const type = isOwn ? ofMessage(messages, proto) : typeOf(proto);
    if (type !== undefined) types.set(field, type);
  }
  return types;
}

/** In these fields, Kubernetes allows a number of pods or a percentage of the pods. */
const partFields = /^(max|min)(Surge|Unavailable|Available)$/;

/** Adds the type of a default unless the proto file states it. */
function addDefault(types: Types, [name, ...below]: readonly string[], value: unknown): void {
  if (name === undefined) {
    if (typeof value === "object" && value !== null)
      for (const [key, inner] of Object.entries(value)) addDefault(types, [key], inner);
    return;
  }
  const known = types.get(name);
  if (typeof known === "string") return;
  const isFilled = typeof value === "object" && value !== null && Object.keys(value).length > 0;
  if (below.length > 0 || known !== undefined || (isFilled && !Array.isArray(value))) {
    const inner: Types = known ?? new Map<string, string | Types>();
    addDefault(inner, below, value);
    if (inner.size > 0) types.set(name, inner);
  } else if (Array.isArray(value)) types.set(name, "list");
  else if (typeof value === "object" && value !== null) types.set(name, "map");
  else if (typeof value === "boolean") types.set(name, "boolean");
  else if (typeof value === "number") types.set(name, partFields.test(name) ? "part" : "whole");
  else if (typeof value === "string") types.set(name, "text");
}

function sorted(types: Types): unknown {
  return Object.fromEntries(
    [...types]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, type]) => [name, typeof type === "string" ? type : sorted(type)]),
  );
}

const newest = 31;
const { messages, defaults } = installValues(clone, reference, newest);
const root = ofMessage(messages ?? new Map(), "Values");
// The parser of MeshConfig checks the fields of `meshConfig`.
for (const [path, value] of defaults) if (!path.includes("meshConfig")) addDefault(root, path, value);
const folder = join(import.meta.dirname, "../../generated/install");
mkdirSync(folder, { recursive: true });
const text = `${JSON.stringify(sorted(root))}\n`;
writeFileSync(join(folder, "value-types.json"), text);
console.log(`value-types: ${text.length} bytes`);
