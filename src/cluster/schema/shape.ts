/**
 * What pruning, server-side apply and patches need to know of a kind, one form for built-in kinds (from the generated
 * type table) and for CRDs (from their structural schema).
 */
export type Shape = ScalarShape | StructShape | MapShape | ListShape | AnyShape;

/** Codes of the generated type table: see generated/kubernetes/README.md. */
export type ScalarCode = "s" | "b" | "i" | "l" | "d" | "y" | "T" | "M" | "D" | "Q" | "I" | "F";

export interface ScalarShape {
  readonly kind: "scalar";
  readonly code: ScalarCode;
}

export interface StructShape {
  readonly kind: "struct";
  /** The OpenAPI name of a built-in type (`io.k8s.api.core.v1.PodSpec`). Empty for a CRD's. */
  readonly name: string;
  /** By JSON name; the fields of inlined structs are among them. */
  readonly fields: ReadonlyMap<string, FieldShape>;
  /** Shape of what `fields` does not name: undefined when it is unknown and dropped. */
  readonly rest: Shape | undefined;
  /** One unit for server-side apply. */
  readonly atomic: boolean;
  /** For messages on the wire. */
  readonly wire: readonly WireField[];
  /** A whole Kubernetes object of its own: `apiVersion`, `kind` and `metadata` are always known. */
  readonly embedded: boolean;
}

export interface MapShape {
  readonly kind: "map";
  readonly value: Shape;
  readonly atomic: boolean;
}

export interface ListShape {
  readonly kind: "list";
  readonly item: Shape;
  readonly listType: "atomic" | "set" | "map";
  /** Of a `map` list. */
  readonly keys: readonly string[];
  /** On the wire a message that holds the items. */
  readonly wrapped: boolean;
}

/** Anything: kept as it is. `granular`: server-side apply looks into maps (not lists); otherwise it is one unit. */
export interface AnyShape {
  readonly kind: "any";
  readonly granular: boolean;
  /** `R` raw extension, `J` any JSON, `B` `A` `P` the schema unions of apiextensions; on the wire only. */
  readonly code: "R" | "J" | "B" | "A" | "P";
}

export interface FieldShape {
  readonly name: string;
  readonly shape: Shape;
  /** The server writes it even when nobody set it (Go's zero value). */
  readonly always: boolean;
  /** The server leaves Go's zero value out, even when somebody set it. */
  readonly omitted: boolean;
  readonly strategy: readonly string[];
  readonly mergeKey: string | undefined;
  /** A list-map key that is absent takes this value. */
  readonly default: unknown;
}

export interface WireField {
  readonly number: number;
  readonly field: FieldShape;
  readonly pointer: boolean;
  readonly inline: boolean;
}

export const anyShape: AnyShape = { kind: "any", granular: false, code: "R" };
export const granularAnyShape: AnyShape = { kind: "any", granular: true, code: "R" };
