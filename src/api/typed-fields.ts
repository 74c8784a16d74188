import { isTree, type Tree } from "../base/index.ts";
import type { FieldIssue } from "./parsed.ts";
import { Reader } from "./reader.ts";

/** Reads a field. Returns undefined if it is absent. Reports a value of another type, and returns undefined too. */
export type FieldType = (reader: Reader, field: string) => unknown;
export type FieldTypes = Readonly<Record<string, FieldType>>;

export const fieldTypes = {
  text: (reader: Reader, field: string) => reader.string(field),
  number: (reader: Reader, field: string) => reader.number(field),
  flag: (reader: Reader, field: string) => reader.boolean(field),
  /** Kubernetes' IntOrString: a port or its name, a count or a percentage. */
  numberOrText: (reader: Reader, field: string) =>
    typeof valueOf(reader, field) === "string" ? reader.string(field) : reader.number(field),
  texts: (reader: Reader, field: string) => (reader.has(field) ? reader.strings(field) : undefined),
  textMap: (reader: Reader, field: string) => (reader.has(field) ? reader.stringMap(field) : undefined),
  object:
    (fields: FieldTypes): FieldType =>
    (reader, field) => {
      const inner = reader.object(field);
      return inner === undefined ? undefined : fieldsOf(inner, fields);
    },
  /** A list of objects. An empty object takes the place of any other value, so that no other element moves. */
  list:
    (fields: FieldTypes): FieldType =>
    (reader, field) => {
      // Reports each element that is not an object.
      reader.objects(field);
      return Array.isArray(valueOf(reader, field))
        ? reader.list(field).map((element) => fieldsOf(element, fields))
        : undefined;
    },
  /** A field that always exists, as in Go, where an absent one has the zero value of its type. */
  always:
    (type: FieldType, zero: unknown): FieldType =>
    (reader, field) =>
      type(reader, field) ?? zero,
};

/**
 * The object with the described fields, each of which has its type or is absent. All other fields stay as they are.
 * Returns an issue for each value that the API server would refuse.
 */
export function withFieldTypes<Value extends object>(
  value: Value,
  types: FieldTypes,
): { readonly value: Value; readonly issues: readonly FieldIssue[] } {
  const reader = new Reader(value);
  const typed = fieldsOf(reader, types) as Value;
  return { value: typed, issues: reader.finish(() => undefined).errors };
}

function fieldsOf(reader: Reader, types: FieldTypes): Tree {
  const found = new Map(isTree(reader.raw) ? Object.entries(reader.raw) : []);
  for (const [field, type] of Object.entries(types)) {
    const value = type(reader, field);
    if (value === undefined) found.delete(field);
    else found.set(field, value);
  }
  return Object.fromEntries(found);
}

function valueOf(reader: Reader, field: string): unknown {
  return isTree(reader.raw) ? reader.raw[field] : undefined;
}
