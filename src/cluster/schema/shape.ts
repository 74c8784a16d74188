/**
 * The facts about a kind that pruning, server-side apply and patches need. Built-in kinds (from the generated type
 * table) and CRDs (from their structural schema) have the same form.
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
  /** The OpenAPI name of a built-in type (`io.k8s.api.core.v1.PodSpec`). Empty for a type of a CRD. */
  readonly name: string;
  /** Fields by JSON name, including those of inlined structs. */
  readonly fields: ReadonlyMap<string, FieldShape>;
  /** The shape of fields that `fields` does not name. Undefined if such fields are unknown and dropped. */
  readonly rest: Shape | undefined;
  /** Whether server-side apply treats the value as one unit. */
  readonly atomic: boolean;
  /** The fields with their numbers in protobuf messages. */
  readonly wire: readonly WireField[];
  /** A whole Kubernetes object inside another one: `apiVersion`, `kind` and `metadata` are always known. */
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
  /** The keys of a `map` list. */
  readonly keys: readonly string[];
  /** Whether a separate message contains the items on the wire. */
  readonly wrapped: boolean;
}

/**
 * Any value, which is stored unchanged. `granular`: server-side apply treats maps field by field, but not lists.
 * Otherwise the value is one unit.
 */
export interface AnyShape {
  readonly kind: "any";
  readonly granular: boolean;
  /**
   * Used only for the wire format: `R` raw extension, `J` any JSON, `B`, `A` and `P` the schema unions of
   * apiextensions.
   */
  readonly code: "R" | "J" | "B" | "A" | "P";
}

export interface FieldShape {
  readonly name: string;
  readonly shape: Shape;
  /** The server always writes the field, with Go's zero value if it is not set. */
  readonly always: boolean;
  /** The server omits Go's zero value, even if a client has set it. */
  readonly omitted: boolean;
  readonly strategy: readonly string[];
  readonly mergeKey: string | undefined;
  /** The value of an absent list-map key. */
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
