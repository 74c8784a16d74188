import type { CelInput } from "@bufbuild/cel";
import type { CelLibrary } from "../../../../base/cel/index.ts";
import { isObject, type JsonObject } from "../../json.ts";
import { propertySchema, schemaOfRest, type StructuralSchema } from "../structural-schema.ts";

const keywords = new Set([
  "true",
  "false",
  "null",
  "in",
  "as",
  "break",
  "const",
  "continue",
  "else",
  "for",
  "function",
  "if",
  "import",
  "let",
  "loop",
  "package",
  "namespace",
  "return",
  "var",
  "void",
  "while",
]);

/** The name of a property in expressions. As in Kubernetes, names that are not CEL identifiers are escaped. */
function escapeProperty(name: string): string {
  if (keywords.has(name)) return `__${name}__`;
  return name
    .replaceAll("__", "__underscores__")
    .replaceAll(".", "__dot__")
    .replaceAll("-", "__dash__")
    .replaceAll("/", "__slash__");
}

/**
 * Converts JSON values to CEL values by their schema. Integers become int, and times become timestamps. Property names
 * are escaped.
 */
export class CelValues {
  readonly #library: CelLibrary;
  /** A cache of converted objects, because several rules may use the same object. */
  readonly #known = new WeakMap<object, CelInput>();

  constructor(library: CelLibrary) {
    this.#library = library;
  }

  convert(schema: StructuralSchema | undefined, value: unknown, root = false): CelInput {
    if (value === null || value === undefined) return null;
    if (typeof value !== "object") return this.#scalar(schema, value);
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    const converted = Array.isArray(value)
      ? this.#list(schema, value)
      : this.#object(schema, value as JsonObject, root);
    this.#known.set(value, converted);
    return converted;
  }

  #list(schema: StructuralSchema | undefined, value: readonly unknown[]): CelInput {
    return this.#library.celList(value.map((item) => this.convert(schema?.items, item)));
  }

  #object(schema: StructuralSchema | undefined, value: JsonObject, root: boolean): CelInput {
    const map = new Map<string, CelInput>();
    const rest = schema === undefined ? undefined : schemaOfRest(schema);
    const struct = schema?.properties !== undefined || root;
    for (const [key, item] of Object.entries(value)) {
      if (item === undefined) continue;
      if (root && key === "metadata") map.set(key, this.#metadata(item));
      else {
        const property = schema === undefined ? undefined : propertySchema(schema, key);
        map.set(struct ? escapeProperty(key) : key, this.convert(property ?? (rest === true ? undefined : rest), item));
      }
    }
    return this.#library.celMap(map);
  }

  /** The metadata in the form for rules on the root, which contains only the names. */
  #metadata(value: unknown): CelInput {
    const map = new Map<string, CelInput>();
    for (const key of ["name", "generateName"]) {
      const text = isObject(value) ? value[key] : undefined;
      if (typeof text === "string") map.set(key, text);
    }
    return this.#library.celMap(map);
  }

  #scalar(schema: StructuralSchema | undefined, value: unknown): CelInput {
    if (typeof value === "number") return schema?.type === "number" || !Number.isInteger(value) ? value : BigInt(value);
    if (typeof value === "boolean") return value;
    const text = String(value);
    if (schema?.type !== "string") return text;
    switch (schema.format) {
      case "date":
      case "date-time":
        return this.#evaluate("timestamp", schema.format === "date" ? `${text}T00:00:00Z` : text);
      case "duration":
        return this.#evaluate("duration", text);
      case "byte":
        return new Uint8Array(Buffer.from(text, "base64"));
      default:
        return text;
    }
  }

  /**
   * Converts a string whose format in the schema is a time or a duration. The check of the format has already refused
   * invalid strings.
   */
  #evaluate(conversion: "timestamp" | "duration", text: string): CelInput {
    const result = this.#library.run(`${conversion}(text)`, { text });
    return this.#library.isCelError(result) ? text : result;
  }
}
