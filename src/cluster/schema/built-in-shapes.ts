import { invariant } from "../../base/index.ts";
import { readGenerated } from "./generated-data.ts";
import {
  granularAnyShape,
  type AnyShape,
  type FieldShape,
  type ListShape,
  type ScalarCode,
  type ScalarShape,
  type Shape,
  type StructShape,
  type WireField,
} from "./shape.ts";

interface TypeTable {
  readonly names: readonly string[];
  /** The index in `types` of each kind, whose key is, for example, `apps/v1/Deployment`. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly types: readonly (readonly [fields: readonly FieldEntry[], atomic?: 1])[];
}

type FieldEntry = readonly [name: string, number: number, type: string, flags: number, extra?: FieldExtra];

interface FieldExtra {
  readonly keys?: readonly string[];
  readonly set?: true;
  readonly atomic?: true;
  readonly strategy?: string;
  readonly mergeKey?: string;
  readonly default?: unknown;
}

const flagPointer = 1;
const flagOmitted = 2;
const flagInline = 8;

/** The shapes of built-in kinds, each of which is made on first use. */
export class BuiltInShapes {
  readonly #table: TypeTable;
  readonly #structs = new Map<number, BuiltInStruct>();
  readonly #indexes = new Map<string, number>();

  constructor(table: TypeTable) {
    this.#table = table;
  }

  static load(): BuiltInShapes {
    return new BuiltInShapes(readGenerated("types") as TypeTable);
  }

  /** The shape of a kind. Returns undefined if the kind is not built in. */
  ofKind(apiVersion: string, kind: string): StructShape | undefined {
    const index = this.#table.kinds[`${apiVersion}/${kind}`];
    return index === undefined ? undefined : this.#struct(index);
  }

  ofName(name: string): StructShape {
    if (this.#indexes.size === 0) this.#table.names.forEach((typeName, index) => this.#indexes.set(typeName, index));
    const index = this.#indexes.get(name);
    invariant(index !== undefined, `no type ${name} in the generated table`);
    return this.#struct(index);
  }

  nameOfKind(apiVersion: string, kind: string): string | undefined {
    const index = this.#table.kinds[`${apiVersion}/${kind}`];
    return index === undefined ? undefined : this.#table.names[index];
  }

  #struct(index: number): StructShape {
    const known = this.#structs.get(index);
    if (known !== undefined) return known;
    const entry = this.#table.types[index];
    invariant(entry !== undefined, `no type ${index} in the generated table`);
    const isKind = Object.values(this.#table.kinds).includes(index);
    const made = new BuiltInStruct(this.#table.names[index] ?? "", entry[0], entry[1] === 1, isKind, (next) =>
      this.#struct(next),
    );
    this.#structs.set(index, made);
    return made;
  }
}

const stringShape: ScalarShape = { kind: "scalar", code: "s" };
const typeMetaFields: readonly FieldShape[] = ["apiVersion", "kind"].map((name) => ({
  name,
  shape: stringShape,
  always: false,
  omitted: true,
  strategy: [],
  mergeKey: undefined,
  default: undefined,
}));

class BuiltInStruct implements StructShape {
  readonly kind = "struct";
  readonly name: string;
  readonly rest = undefined;
  readonly embedded = false;
  readonly atomic: boolean;
  readonly #entries: readonly FieldEntry[];
  readonly #struct: (index: number) => StructShape;
  readonly #isKind: boolean;
  #fields: Map<string, FieldShape> | undefined;
  #wire: WireField[] | undefined;

  constructor(
    name: string,
    entries: readonly FieldEntry[],
    atomic: boolean,
    isKind: boolean,
    struct: (index: number) => StructShape,
  ) {
    this.name = name;
    this.#entries = entries;
    this.atomic = atomic;
    this.#isKind = isKind;
    this.#struct = struct;
  }

  get fields(): ReadonlyMap<string, FieldShape> {
    if (this.#fields !== undefined) return this.#fields;
    const fields = new Map<string, FieldShape>();
    if (this.#isKind) for (const field of typeMetaFields) fields.set(field.name, field);
    for (const { field, inline } of this.wire) {
      if (!inline) fields.set(field.name, field);
      else if (field.shape.kind === "struct") for (const [name, inner] of field.shape.fields) fields.set(name, inner);
    }
    this.#fields = fields;
    return fields;
  }

  get wire(): readonly WireField[] {
    this.#wire ??= this.#entries.map((entry) => this.#wireField(entry));
    return this.#wire;
  }

  #wireField([name, number, type, flags, extra = {}]: FieldEntry): WireField {
    const pointer = (flags & flagPointer) !== 0;
    const struct = this.#struct;
    let shape: Shape | undefined;
    const field: FieldShape = {
      name,
      get shape() {
        shape ??= parseShape(type, extra, struct);
        return shape;
      },
      always: !pointer && (flags & flagOmitted) === 0,
      omitted: !pointer && (flags & flagOmitted) !== 0,
      strategy: extra.strategy?.split(",") ?? [],
      mergeKey: extra.mergeKey,
      default: extra.default,
    };
    return { number, field, pointer, inline: (flags & flagInline) !== 0 };
  }
}

const scalarCodes: readonly ScalarCode[] = ["s", "b", "i", "l", "d", "y", "T", "M", "D", "Q", "I", "F"];
const scalarShapes = new Map<string, ScalarShape>(scalarCodes.map((code) => [code, { kind: "scalar", code }]));

function parseShape(type: string, extra: FieldExtra, struct: (index: number) => StructShape): Shape {
  const head = type[0] ?? "";
  const tail = type.slice(1);
  if (head === "#") {
    const shape = struct(Number(tail));
    return extra.atomic === true && !shape.atomic ? atomicStruct(shape) : shape;
  }
  if (head === "{") return { kind: "map", value: parseShape(tail, {}, struct), atomic: extra.atomic === true };
  if (head === "[" || head === "w") return listShape(parseShape(tail, {}, struct), extra, head === "w");
  const scalar = scalarShapes.get(head);
  if (scalar !== undefined) return scalar;
  return head === "R"
    ? granularAnyShape
    : ({ kind: "any", granular: false, code: head as AnyShape["code"] } satisfies AnyShape);
}

function listShape(item: Shape, extra: FieldExtra, wrapped: boolean): ListShape {
  if (extra.keys !== undefined) return { kind: "list", item, listType: "map", keys: extra.keys, wrapped };
  return { kind: "list", item, listType: extra.set === true ? "set" : "atomic", keys: [], wrapped };
}

function atomicStruct(shape: StructShape): StructShape {
  return {
    kind: "struct",
    name: shape.name,
    rest: shape.rest,
    embedded: shape.embedded,
    atomic: true,
    get fields() {
      return shape.fields;
    },
    get wire() {
      return shape.wire;
    },
  };
}
