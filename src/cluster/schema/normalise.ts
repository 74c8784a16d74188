import { SchemaFault } from "./contract.ts";
import { childPath, isObject, type JsonObject } from "./json.ts";
import { canonicalQuantity, parseQuantity } from "./quantity.ts";
import type { ScalarCode, Shape, StructShape } from "./shape.ts";

/** The zero value of a type. Returns null if kube-apiserver writes null for it. */
export function zeroValue(shape: Shape): unknown {
  switch (shape.kind) {
    case "scalar":
      return zeroScalars[shape.code];
    case "struct": {
      const value: JsonObject = {};
      addZeroFields(shape, value);
      return value;
    }
    case "map":
    case "list":
    case "any":
      return null;
  }
}

const zeroScalars: Readonly<Record<ScalarCode, unknown>> = {
  s: "",
  b: false,
  i: 0,
  l: 0,
  d: 0,
  y: null,
  T: null,
  M: null,
  D: "0s",
  Q: "0",
  I: 0,
  F: null,
};

/** An empty object of the kind. Its lists and maps are null where kube-apiserver writes null. */
export function zeroObject(shape: Shape): unknown {
  if (shape.kind !== "struct") return zeroValue(shape);
  const value: JsonObject = {};
  for (const field of shape.fields.values()) if (field.always) value[field.name] = zeroObject(field.shape);
  return value;
}

/** Whether the value is the zero value of its type. Returns false for a struct. */
function isZero(shape: Shape, value: unknown): boolean {
  switch (shape.kind) {
    case "scalar":
      return value === emptyScalars[shape.code];
    case "map":
      return Object.keys(value as object).length === 0;
    case "list":
      return (value as readonly unknown[]).length === 0;
    case "struct":
    case "any":
      return false;
  }
}

/** The zero values that Go omits. Quantities, times and similar types are structs, which Go does not omit. */
const emptyScalars: Partial<Readonly<Record<ScalarCode, unknown>>> = { s: "", b: false, i: 0, l: 0, d: 0, y: "" };

/**
 * Adds, in place, the missing fields that kube-apiserver always writes, such as `resources: {}`. Omits fields that it
 * writes as null.
 */
function addZeroFields(shape: StructShape, value: JsonObject): void {
  for (const field of shape.fields.values()) {
    if (!field.always || value[field.name] !== undefined) continue;
    const zero = zeroValue(field.shape);
    if (zero !== null) value[field.name] = zero;
  }
}

/** The type of a JSON value, with its name in the messages of Go's JSON decoder. */
function describe(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (value === null) return "null";
  return typeof value === "boolean" ? "bool" : typeof value;
}

const goNames: Readonly<Record<ScalarCode, string>> = {
  s: "string",
  b: "bool",
  i: "int32",
  l: "int64",
  d: "float64",
  y: "[]uint8",
  T: "Time",
  M: "MicroTime",
  D: "Duration",
  Q: "Quantity",
  I: "IntOrString",
  F: "FieldsV1",
};

/**
 * Converts an object of a built-in kind, in place, to the form in which kube-apiserver returns it. Removes unknown
 * fields, nulls and values that Go omits, adds zero structs, and writes times and quantities in canonical form. Throws
 * {@link SchemaFault} 400 if a value has the wrong type.
 */
export class Normaliser {
  readonly #kind: string;
  readonly #version: string;
  readonly unknown: string[] = [];

  constructor(apiVersion: string, kind: string) {
    this.#kind = kind;
    this.#version = apiVersion;
  }

  struct(shape: StructShape, value: JsonObject, path: string): void {
    for (const key of Object.keys(value)) {
      const field = shape.fields.get(key);
      const child = childPath(path, key);
      if (field === undefined) {
        this.unknown.push(child);
        delete value[key];
      } else if (value[key] === null) delete value[key];
      else {
        value[key] = this.#value(field.shape, value[key], child);
        if (field.omitted && isZero(field.shape, value[key])) delete value[key];
      }
    }
    addZeroFields(shape, value);
  }

  /** Does the same as {@link struct} for a value that may have any type. */
  member(shape: StructShape, value: unknown, path: string): void {
    if (!isObject(value)) throw this.#mismatch(value, "object", path);
    this.struct(shape, value, path);
  }

  #value(shape: Shape, value: unknown, path: string): unknown {
    switch (shape.kind) {
      case "scalar":
        return this.#scalar(shape.code, value, path);
      case "struct":
        this.member(shape, value, path);
        return value;
      case "map":
        return this.#map(shape.value, value, path);
      case "list":
        if (!Array.isArray(value)) throw this.#mismatch(value, "[]", path);
        for (const [index, item] of value.entries())
          value[index] = this.#item(shape.item, item, childPath(path, index));
        return value;
      case "any":
        return value;
    }
  }

  #item(shape: Shape, value: unknown, path: string): unknown {
    return value === null ? zeroValue(shape) : this.#value(shape, value, path);
  }

  #map(shape: Shape, value: unknown, path: string): unknown {
    if (!isObject(value)) throw this.#mismatch(value, "map", path);
    for (const key of Object.keys(value)) value[key] = this.#item(shape, value[key], childPath(path, key));
    return value;
  }

  #scalar(code: ScalarCode, value: unknown, path: string): unknown {
    switch (code) {
      case "s":
        if (typeof value === "string") return value;
        break;
      case "b":
        if (typeof value === "boolean") return value;
        break;
      case "i":
      case "l":
        if (typeof value === "number") return this.#integer(value, code, path);
        break;
      case "d":
        if (typeof value === "number") return value;
        break;
      case "y":
        if (typeof value === "string") return this.#bytes(value, path);
        break;
      case "T":
      case "M":
        if (typeof value === "string") return this.#time(value, code === "M", path);
        break;
      case "D":
        if (typeof value === "string") return value;
        break;
      case "Q":
        return this.#quantity(value, path);
      case "I":
        if (typeof value === "string") return value;
        if (typeof value === "number") return this.#integer(value, "i", path);
        break;
      case "F":
        if (isObject(value)) return value;
        break;
    }
    throw this.#mismatch(value, goNames[code], path);
  }

  /**
   * Returns the integer if it is in range. Go clients could not read any list that contains an object with a larger
   * number.
   */
  #integer(value: number, code: "i" | "l", path: string): number {
    const isInt32 = value >= -(2 ** 31) && value < 2 ** 31;
    if (Number.isInteger(value) && (isInt32 || (code === "l" && Math.abs(value) < 2 ** 63))) return value;
    throw this.#fault(
      `json: cannot unmarshal number ${value} into Go struct field ${this.#goField(path)} of type ${goNames[code]}`,
    );
  }

  #bytes(value: string, path: string): string {
    const compact = /[\r\n]/.test(value) ? value.replace(/[\r\n]/g, "") : value;
    if (compact.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(compact)) return compact;
    const bad = compact.search(/[^A-Za-z0-9+/=]|(?<==)[^=]/);
    throw this.#fault(`illegal base64 data at input byte ${bad === -1 ? compact.length : bad} (${path})`);
  }

  #time(value: string, micro: boolean, path: string): string {
    const atMs = timeOf(value);
    if (atMs === undefined)
      throw this.#fault(`parsing time "${value}" as "2006-01-02T15:04:05Z07:00": cannot parse "${value}" (${path})`);
    const pattern = micro ? /T\d\d:\d\d:\d\d\.\d{6}Z$/ : /T\d\d:\d\d:\d\dZ$/;
    if (pattern.test(value)) return value;
    const whole = new Date(atMs).toISOString().slice(0, 19);
    const fraction = /\.(\d+)/.exec(value)?.[1] ?? "";
    return micro ? `${whole}.${fraction.padEnd(6, "0").slice(0, 6)}Z` : `${whole}Z`;
  }

  #quantity(value: unknown, path: string): string {
    const text = typeof value === "number" ? String(value) : value;
    if (typeof text !== "string") throw this.#mismatch(value, "Quantity", path);
    if (parseQuantity(text) === undefined)
      throw this.#fault(
        `quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' (${path}: "${text}")`,
      );
    return canonicalQuantity(text);
  }

  #mismatch(value: unknown, expected: string, path: string): SchemaFault {
    const type =
      expected === "object" || expected === "map" || expected === "[]"
        ? expected === "[]"
          ? "a list"
          : "an object"
        : expected;
    return this.#fault(
      `json: cannot unmarshal ${describe(value)} into Go struct field ${this.#goField(path)} of type ${type}`,
    );
  }

  #goField(path: string): string {
    return `${this.#kind}.${path.replace(/\[\d+\]/g, "")}`;
  }

  #fault(message: string): SchemaFault {
    return new SchemaFault(
      400,
      "BadRequest",
      `${this.#kind} in version "${this.#version.split("/").at(-1) ?? ""}" cannot be handled as a ${this.#kind}: ${message}`,
    );
  }
}

/** The first and the last time whose year has four digits, in milliseconds since 1970. */
const firstTimeMs = Date.parse("0000-01-01T00:00:00Z");
const lastTimeMs = Date.parse("9999-12-31T23:59:59.999Z");

/**
 * A time in RFC 3339, as milliseconds since 1970. Returns undefined for a time that does not exist. Go refuses 30
 * February and 24:00, but `Date.parse` reads them as 2 March and as the next day.
 */
function timeOf(value: string): number | undefined {
  const [, local = ""] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.exec(value) ?? [];
  const localMs = Date.parse(`${local}Z`);
  if (Number.isNaN(localMs) || new Date(localMs).toISOString().slice(0, 19) !== local) return undefined;
  const atMs = Date.parse(value);
  return atMs >= firstTimeMs && atMs <= lastTimeMs ? atMs : undefined;
}
