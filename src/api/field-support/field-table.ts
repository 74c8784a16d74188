export type FieldActor = "sidecar" | "gateway" | "waypoint" | "ztunnel" | "control plane";

/**
 * A group of fields and their support. Paths start below `spec` (in a mesh config, below its root). In a path, `[]`
 * means any element of a list, `{}` any value of a map, and `**` at the end all fields below. A test compares these
 * tables with the kinds' CRDs and parsers.
 */
export interface FieldRow {
  readonly group: string;
  readonly fields: readonly string[];
  /**
   * `acted` means that Serin acts on the field as upstream does. With `envoy`, Envoy acts on it, and the parser warns
   * that Serin's own proxy does not. With `warned`, it has no effect, and the parser warns with the field's path. With
   * `refused`, the parser rejects it and says why.
   */
  readonly support: "acted" | "envoy" | "warned" | "refused";
  /** Empty if no component acts on the fields. */
  readonly by: readonly FieldActor[];
  /** The path of the test or golden file that proves the support, relative to the repository's root. */
  readonly proof: string;
}

export interface FieldTable {
  /** Empty for the mesh config. */
  readonly apiGroup: string;
  readonly kind: string;
  readonly rows: readonly FieldRow[];
}

const tablesTest = "src/api/field-support/field-support.test.ts";

export function acted(group: string, by: string, proof: string, ...fields: readonly string[]): FieldRow {
  return { group, fields, support: "acted", by: actorsOf(by), proof };
}

export function byEnvoy(group: string, by: string, proof: string, ...fields: readonly string[]): FieldRow {
  return { group, fields, support: "envoy", by: actorsOf(by), proof };
}

export function warned(group: string, ...fields: readonly string[]): FieldRow {
  return { group, fields, support: "warned", by: [], proof: tablesTest };
}

export function refused(group: string, ...fields: readonly string[]): FieldRow {
  return { group, fields, support: "refused", by: [], proof: tablesTest };
}

const actors: Readonly<Record<string, FieldActor>> = {
  s: "sidecar",
  g: "gateway",
  w: "waypoint",
  z: "ztunnel",
  c: "control plane",
};

/** Translates letters to actors. For example, `sgw` means sidecars, gateways and waypoints. */
function actorsOf(letters: string): readonly FieldActor[] {
  return letters.split("").flatMap((letter) => actors[letter] ?? []);
}

/** Every combination of a prefix and a field, as paths. */
export function under(prefixes: readonly string[], ...fields: readonly string[]): readonly string[] {
  return prefixes.flatMap((prefix) => fields.map((field) => (prefix === "" ? field : `${prefix}.${field}`)));
}
