/**
 * The facts about a type that pruning, server-side apply and patches need. Types of built-in kinds (from the generated
 * type table) and of CRDs (from their structural schemas) have the same form.
 */
export type Shape = ScalarShape | StructShape | MapShape | ListShape | AnyShape;

/** Codes in the generated type table. generated/kubernetes/README.md explains them. */
export type ScalarCode = "s" | "b" | "i" | "l" | "d" | "y" | "T" | "M" | "D" | "Q" | "I" | "F";

export interface ScalarShape {
  readonly kind: "scalar";
  readonly code: ScalarCode;
}

export interface StructShape {
  readonly kind: "struct";
  /** The OpenAPI name of a built-in type, such as `io.k8s.api.core.v1.PodSpec`. It is empty for a type of a CRD. */
  readonly name: string;
  /** The fields by their JSON names, including the fields of inlined structs. */
  readonly fields: ReadonlyMap<string, FieldShape>;
  /** The shape of fields that `fields` does not name, or undefined if such fields are unknown and dropped. */
  readonly rest: Shape | undefined;
  /** Whether server-side apply treats the value as one unit. */
  readonly atomic: boolean;
  /** The fields that have a number in protobuf messages. */
  readonly wire: readonly WireField[];
  /**
   * Whether the value is a whole Kubernetes object inside another one. Its fields `apiVersion`, `kind` and `metadata`
   * are then always known.
   */
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
  readonly keys: readonly string[];
  /** Whether, in protobuf, a message of its own contains the list's items. */
  readonly wrapped: boolean;
}

/**
 * A value of any form, which is stored unchanged. If `granular` is true, server-side apply compares maps field by
 * field, and everything else as one unit. Otherwise it compares the whole value as one unit.
 */
export interface AnyShape {
  readonly kind: "any";
  readonly granular: boolean;
  /**
   * The form of the value in protobuf: `R` is a raw extension, `J` is any JSON, and `B`, `A` and `P` are the schema
   * unions of apiextensions.
   */
  readonly code: "R" | "J" | "B" | "A" | "P";
}

export interface FieldShape {
  readonly name: string;
  readonly shape: Shape;
  /** Whether kube-apiserver always writes the field, with Go's zero value if the field is not set. */
  readonly always: boolean;
  /** Whether kube-apiserver omits the field if it has Go's zero value, even if a client has set it. */
  readonly omitted: boolean;
  readonly strategy: readonly string[];
  readonly mergeKey: string | undefined;
  /** The default of this field as a key of a list of type `map`, for items that lack the key. */
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
