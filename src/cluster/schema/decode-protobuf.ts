import type * as Wire from "@bufbuild/protobuf/wire";
import type { UntypedObject } from "../../api/index.ts";
import type { BuiltInShapes } from "./built-in-shapes.ts";
import { SchemaFault } from "./contract.ts";
import { isObject, setOwn, wellFormedJson, type JsonObject } from "./json.ts";
import { zeroValue } from "./normalise.ts";
import { protobufWire } from "./protobuf-wire.ts";
import type { AnyShape, ListShape, ScalarCode, Shape, StructShape, WireField } from "./shape.ts";

const magic = Buffer.from("k8s\0", "latin1");
const unknownTypeMeta = 1;
const unknownRaw = 2;
const unknownContentEncoding = 3;
/** Kinds of meta.k8s.io that every API group has. */
const commonKinds = new Set(["DeleteOptions", "Status"]);
const schemaTypeName = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/**
 * Decodes bodies of the type application/vnd.kubernetes.protobuf. Such a body consists of a magic number and a
 * runtime.Unknown, which contains the message of the kind.
 */
export class ProtobufDecoder {
  readonly #shapes: BuiltInShapes;

  constructor(shapes: BuiltInShapes) {
    this.#shapes = shapes;
  }

  decode(body: Uint8Array): UntypedObject {
    if (!magic.equals(body.subarray(0, magic.length)))
      throw new SchemaFault(
        400,
        "BadRequest",
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
      );
    try {
      return this.#decodeUnknown(body.subarray(magic.length));
    } catch (error) {
      if (error instanceof SchemaFault) throw error;
      throw new SchemaFault(
        400,
        "BadRequest",
        `the protobuf body cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  #decodeUnknown(bytes: Uint8Array): UntypedObject {
    const unknown = readMessage(bytes);
    const typeMeta = readMessage(bytesOf(unknown.get(unknownTypeMeta)));
    const apiVersion = textOf(typeMeta.get(1));
    const kind = textOf(typeMeta.get(2));
    if (textOf(unknown.get(unknownContentEncoding)) !== "")
      throw new SchemaFault(415, "UnsupportedMediaType", "encoded protobuf bodies are not supported");
    const shape = this.#shapes.ofKind(commonKinds.has(kind) ? "v1" : apiVersion, kind);
    if (shape === undefined)
      throw new SchemaFault(
        415,
        "UnsupportedMediaType",
        `no kind "${kind}" is registered for version "${apiVersion}" in protobuf; send JSON`,
      );
    const value = this.#struct(shape, bytesOf(unknown.get(unknownRaw)));
    return { apiVersion, kind, ...value } as UntypedObject;
  }

  #struct(shape: StructShape, bytes: Uint8Array): JsonObject {
    const values = readMessage(bytes);
    const result: JsonObject = {};
    for (const wire of shape.wire) this.#field(wire, values.get(wire.number), result);
    return result;
  }

  #field(wire: WireField, raw: readonly RawValue[] | undefined, result: JsonObject): void {
    const { name, shape, always } = wire.field;
    if (wire.inline) {
      if (shape.kind === "struct" && (raw !== undefined || !wire.pointer))
        Object.assign(result, this.#struct(shape, bytesOf(raw)));
      return;
    }
    const value = raw === undefined ? undefined : this.#value(shape, raw);
    const keep = value !== undefined && (wire.pointer || always || !isZero(value, shape));
    const final = keep ? value : always ? zeroValue(shape) : undefined;
    if (final !== undefined && final !== null) result[name] = final;
  }

  #value(shape: Shape, raw: readonly RawValue[]): unknown {
    const last = raw.at(-1);
    if (last === undefined) return undefined;
    switch (shape.kind) {
      case "scalar":
        return scalarValue(shape.code, last);
      case "struct":
        return this.#struct(shape, mergedBytes(raw));
      case "any":
        return this.#any(shape, bytesValue(last));
      case "map":
        return this.#map(shape.value, raw);
      case "list":
        return this.#list(shape, raw);
    }
  }

  #list(shape: ListShape, raw: readonly RawValue[]): unknown[] {
    if (shape.wrapped) {
      const items = readMessage(bytesOf(raw)).get(1) ?? [];
      return items.map((item) => this.#value(shape.item, [item]));
    }
    return raw.flatMap((item) => unpacked(shape.item, item)).map((item) => this.#value(shape.item, [item]));
  }

  #map(value: Shape, raw: readonly RawValue[]): JsonObject {
    const result: JsonObject = {};
    for (const entry of raw) {
      const pair = readMessage(bytesValue(entry));
      const held = pair.get(2);
      setOwn(result, textOf(pair.get(1)), held === undefined ? zeroValue(value) : this.#value(value, held));
    }
    return result;
  }

  #any(shape: AnyShape, bytes: Uint8Array): unknown {
    const message = readMessage(bytes);
    const first = message.get(1);
    const second = message.get(2);
    const schema = (raw: RawValue): JsonObject => this.#struct(this.#shapes.ofName(schemaTypeName), bytesValue(raw));
    switch (shape.code) {
      case "R":
      case "J":
        return first === undefined ? null : JSON.parse(wellFormedJson(textOf(first)));
      case "B":
        return second?.[0] === undefined ? numberValue(first?.at(-1)) !== 0 : schema(second[0]);
      case "A":
        return first?.[0] === undefined ? (second ?? []).map((item) => schema(item)) : schema(first[0]);
      case "P":
        return first?.[0] === undefined ? (second ?? []).map((item) => textOf([item])) : schema(first[0]);
    }
  }
}

type RawValue = bigint | Uint8Array | number;

function readMessage(bytes: Uint8Array): Map<number, RawValue[]> {
  const reader = new (protobufWire().BinaryReader)(bytes);
  const values = new Map<number, RawValue[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const list = values.get(number) ?? [];
    values.set(number, list);
    list.push(readValue(reader, type));
  }
  return values;
}

function readValue(reader: Wire.BinaryReader, type: Wire.WireType): RawValue {
  const { WireType } = protobufWire();
  switch (type) {
    case WireType.Varint:
      return BigInt(reader.int64());
    case WireType.LengthDelimited:
      return reader.bytes();
    case WireType.Bit64:
      return reader.double();
    case WireType.Bit32:
      return reader.float();
    case WireType.StartGroup:
    case WireType.EndGroup:
      throw new SchemaFault(400, "BadRequest", "the protobuf body contains a group, which Kubernetes never sends");
  }
}

function bytesValue(raw: RawValue): Uint8Array {
  return raw instanceof Uint8Array ? raw : new Uint8Array();
}

function numberValue(raw: RawValue | undefined): number {
  return typeof raw === "bigint" || typeof raw === "number" ? Number(raw) : 0;
}

function bytesOf(raw: readonly RawValue[] | undefined): Uint8Array {
  return raw === undefined ? new Uint8Array() : mergedBytes(raw);
}

/** Joins the parts of a message. In protobuf, a repeated message field means one merged message. */
function mergedBytes(raw: readonly RawValue[]): Uint8Array {
  return raw.length === 1 && raw[0] !== undefined ? bytesValue(raw[0]) : Buffer.concat(raw.map(bytesValue));
}

function textOf(raw: readonly RawValue[] | undefined): string {
  const last = raw?.at(-1);
  return last === undefined ? "" : Buffer.from(bytesValue(last)).toString("utf8");
}

/** Splits packed repeated numbers into single values. Packed numbers are one sequence of bytes. */
function unpacked(item: Shape, raw: RawValue): RawValue[] {
  if (!(raw instanceof Uint8Array) || item.kind !== "scalar" || !"bil".includes(item.code)) return [raw];
  const reader = new (protobufWire().BinaryReader)(raw);
  const values: RawValue[] = [];
  while (reader.pos < reader.len) values.push(BigInt(reader.int64()));
  return values;
}

function scalarValue(code: ScalarCode, raw: RawValue): unknown {
  switch (code) {
    case "s":
      return textOf([raw]);
    case "b":
      return numberValue(raw) !== 0;
    case "i":
    case "l":
    case "d":
      return numberValue(raw);
    case "y":
      return Buffer.from(bytesValue(raw)).toString("base64");
    case "T":
      return timeValue(bytesValue(raw), false);
    case "M":
      return timeValue(bytesValue(raw), true);
    case "D":
      return `${numberValue(readMessage(bytesValue(raw)).get(1)?.at(-1)) / 1e9}s`;
    case "Q":
      return textOf(readMessage(bytesValue(raw)).get(1)) || "0";
    case "I": {
      const message = readMessage(bytesValue(raw));
      return numberValue(message.get(1)?.at(-1)) === 1 ? textOf(message.get(3)) : numberValue(message.get(2)?.at(-1));
    }
    case "F":
      return JSON.parse(wellFormedJson(textOf(readMessage(bytesValue(raw)).get(1)) || "{}"));
  }
}

/** The text of a time. Returns null for Go's zero time, which is encoded as an empty message. */
function timeValue(bytes: Uint8Array, micro: boolean): string | null {
  const message = readMessage(bytes);
  if (message.size === 0) return null;
  const seconds = numberValue(message.get(1)?.at(-1));
  const nanos = numberValue(message.get(2)?.at(-1));
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  return micro ? `${whole}.${String(Math.floor(nanos / 1000)).padStart(6, "0")}Z` : `${whole}Z`;
}

function isZero(value: unknown, shape: Shape): boolean {
  if (value === null || value === "" || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return shape.kind !== "any" && isObject(value) && Object.keys(value).length === 0;
}
