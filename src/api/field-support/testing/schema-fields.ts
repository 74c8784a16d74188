import { definitionsIn } from "../../testing/definitions-in.ts";

export interface SchemaField {
  /**
   * The path below `spec`, such as `http[].match[].headers{}.exact`. `[]` means any element of a list, and `{}` any
   * value of a map.
   */
  readonly path: string;
  /** A minimal spec in which the field is set. */
  readonly sample: unknown;
  /** The field's path in the sample, as parsers report it, such as `spec.http[0].match[0].headers.x.exact`. */
  readonly samplePath: string;
}

export interface DefinedKind {
  readonly group: string;
  readonly kind: string;
  /** The fields of all served versions. */
  readonly fields: readonly SchemaField[];
}

interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

interface Definition {
  readonly kind: string;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly served: boolean; readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

/** The kinds in a manifest of CustomResourceDefinitions, with every field of every served version. */
export function definedKinds(manifest: string): readonly DefinedKind[] {
  return (definitionsIn(manifest) as Definition[]).flatMap(({ kind, spec: { group, names, versions } }) => {
    if (kind !== "CustomResourceDefinition") return [];
    const fields = new Map<string, SchemaField>();
    for (const { served, schema } of versions) {
      const spec = schema.openAPIV3Schema.properties?.["spec"];
      if (!served || spec === undefined) continue;
      for (const field of fieldsOf(spec)) fields.set(field.path, field);
    }
    return [
      {
        group,
        kind: names.kind,
        fields: [...fields.values()].map((field) => ({ ...field, path: field.path.replace(/^\./, "") })),
      },
    ];
  });
}

const mapKey = "x";

/** Returns only leaves. These are objects without fields of their own, scalars, and untyped values. */
function fieldsOf(schema: Schema): readonly SchemaField[] {
  if (schema.items !== undefined)
    return fieldsOf(schema.items).map((field) => nested("[]", "[0]", field, [field.sample]));
  if (typeof schema.additionalProperties === "object")
    return fieldsOf(schema.additionalProperties).map((field) =>
      nested("{}", `.${mapKey}`, field, { [mapKey]: field.sample }),
    );
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length === 0) return [{ path: "", sample: sampleOf(schema), samplePath: "" }];
  return properties.flatMap(([name, child]) =>
    fieldsOf(child).map((field) => nested(`.${name}`, `.${name}`, field, { [name]: field.sample })),
  );
}

function nested(step: string, sampleStep: string, field: SchemaField, sample: unknown): SchemaField {
  return { path: `${step}${field.path}`, sample, samplePath: `${sampleStep}${field.samplePath}` };
}

function sampleOf(schema: Schema): unknown {
  if (schema.enum !== undefined) return schema.enum.find((word) => word !== "") ?? "";
  switch (schema.type) {
    case "boolean":
      return true;
    case "integer":
    case "number":
      return 1;
    case "object":
      return {};
    default:
      return "a";
  }
}

const listed: Readonly<Record<string, unknown>> = {
  boolean: true,
  integer: 1,
  number: 1,
  duration: "1s",
  object: {},
  string: "a",
};

/** Fields by path with their types, as scripts/generate/mesh-fields.ts writes them. */
export function listedFields(types: Readonly<Record<string, string>>): readonly SchemaField[] {
  return Object.entries(types).map(([path, type]) => {
    const value = type.startsWith("enum ") ? type.slice("enum ".length) : listed[type];
    const steps = path.match(/[^.[\]{}]+|\[\]|\{\}/g) ?? [];
    const sample = steps
      .toReversed()
      .reduce<unknown>((inner, step) => (step === "[]" ? [inner] : { [step === "{}" ? mapKey : step]: inner }), value);
    return { path, sample, samplePath: `.${path.replaceAll("[]", "[0]").replaceAll("{}", `.${mapKey}`)}` };
  });
}
