import { fromJson, type DescField, type DescMessage, type JsonValue } from "@bufbuild/protobuf";
import type { FieldIssue } from "../../../api/index.ts";
import { envoyPatchTypes, type EnvoyConfigPatch } from "../../../api/istio/index.ts";
import { messageOf, nearestName } from "../../../base/index.ts";
import type { EnvoyTypes } from "../../../wire/envoy-types/index.ts";

export interface ValueIssues {
  readonly errors: readonly FieldIssue[];
  /** Values that are dropped, or that may not have the intended effect. */
  readonly warnings: readonly FieldIssue[];
}

/**
 * The number of unknown fields for which a similar field name is sought. A value may have a hundred thousand unknown
 * fields.
 */
const maxSuggestions = 20;
const anyType = "google.protobuf.Any";
/** Messages whose JSON form is not an object with their fields. */
const ownForms = /^google\.protobuf\.(Struct|Value|ListValue|Duration|Timestamp|FieldMask|Empty|\w+Value)$/;

/** Checks the values of an EnvoyFilter's patches as Envoy messages, and reports each issue at its field. */
export function envoyValueIssues(patches: readonly EnvoyConfigPatch[], types: EnvoyTypes): ValueIssues {
  const check = new ValueCheck(types);
  for (const [index, { applyTo, operation, value }] of patches.entries()) {
    if (operation !== "REMOVE")
      check.message(types.mustHave(envoyPatchTypes[applyTo]), value, `spec.configPatches[${index}].patch.value`);
  }
  return check;
}

class ValueCheck implements ValueIssues {
  readonly errors: FieldIssue[] = [];
  readonly warnings: FieldIssue[] = [];
  readonly #types: EnvoyTypes;
  #unknown = 0;

  constructor(types: EnvoyTypes) {
    this.#types = types;
  }

  message(desc: DescMessage, json: unknown, path: string): void {
    if (desc.typeName === anyType) return this.#any(json, path);
    if (ownForms.test(desc.typeName)) return this.#leaf(desc, json, path);
    if (typeof json !== "object" || json === null || Array.isArray(json))
      return this.#error(path, `must be an object (${desc.typeName}), got ${JSON.stringify(json)}`);
    this.#fields(desc, json, path);
  }

  #any(json: unknown, path: string): void {
    const type: unknown = typeof json === "object" && json !== null ? Reflect.get(json, "@type") : undefined;
    if (typeof json !== "object" || json === null || typeof type !== "string")
      return this.#error(path, "must be an object with @type, the address of its type");
    const name = type.slice(type.lastIndexOf("/") + 1);
    const desc = this.#types.message(name);
    // The parser of the object reports an unknown type.
    if (desc === undefined) return;
    if (ownForms.test(name)) return this.message(desc, Reflect.get(json, "value"), `${path}.value`);
    const { "@type": _type, ...fields } = json as Record<string, unknown>;
    this.#fields(desc, fields, path);
  }

  #fields(desc: DescMessage, json: object, path: string): void {
    const seen = new Map<string, string>();
    for (const [key, value] of Object.entries(json)) {
      const field = desc.fields.find((candidate) => candidate.jsonName === key || candidate.name === key);
      if (field === undefined) {
        this.#unknown += 1;
        const near =
          this.#unknown <= maxSuggestions ? nearestName(key, new Set(desc.fields.map(({ name }) => name))) : undefined;
        this.warnings.push({
          path: `${path}.${key}`,
          message: `is not a field of ${desc.typeName} and is ignored${near === undefined ? "" : `; did you mean ${near}?`}`,
        });
        continue;
      }
      if (value === null) continue;
      const { oneof } = field;
      const other = oneof === undefined ? undefined : seen.get(oneof.name);
      if (oneof !== undefined && other !== undefined)
        this.#error(
          `${path}.${key}`,
          `must not be set together with ${other}: only one of ${oneof.fields.map(({ name }) => name).join(", ")} may be set`,
        );
      if (oneof !== undefined) seen.set(oneof.name, key);
      this.#field(desc, field, value, `${path}.${key}`);
    }
    const typed = desc.fields.find(({ name }) => name === "typed_config");
    if (
      typed !== undefined &&
      !["typed_config", "typedConfig", "config_discovery", "configDiscovery"].some((name) => name in json)
    ) {
      this.warnings.push({
        path,
        message: "has no typed_config: Envoy identifies configurations by type, not by name",
      });
    }
  }

  #field(desc: DescMessage, field: DescField, value: unknown, path: string): void {
    if (field.fieldKind === "list") {
      if (!Array.isArray(value)) return this.#error(path, `must be a list, got ${JSON.stringify(value)}`);
      for (const [index, item] of value.entries()) {
        if (field.listKind === "message") this.message(field.message, item, `${path}[${index}]`);
        else this.#part(desc, field, [item], `${path}[${index}]`);
      }
    } else if (field.fieldKind === "map") {
      if (typeof value !== "object" || value === null || Array.isArray(value))
        return this.#error(path, `must be an object, got ${JSON.stringify(value)}`);
      for (const [key, item] of Object.entries(value)) {
        if (field.mapKind === "message") this.message(field.message, item, `${path}.${key}`);
        else this.#part(desc, field, { [key]: item }, `${path}.${key}`);
      }
    } else if (field.fieldKind === "message") this.message(field.message, value, path);
    else this.#part(desc, field, value, path);
  }

  #part(desc: DescMessage, field: DescField, value: unknown, path: string): void {
    this.#leaf(desc, { [field.jsonName]: value }, path);
  }

  #leaf(desc: DescMessage, json: unknown, path: string): void {
    try {
      fromJson(desc, json as JsonValue, { registry: this.#types.registry });
    } catch (error) {
      this.#error(
        path,
        messageOf(error).replace(
          /^cannot decode (?:field|message|enum) (\S+) from JSON: /,
          (_all, what: string) => `is not a valid ${what}: `,
        ),
      );
    }
  }

  #error(path: string, message: string): void {
    this.errors.push({ path, message });
  }
}
