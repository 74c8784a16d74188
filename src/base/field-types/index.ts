// Reads objects that nobody has checked. In the result, each described field has its type or is absent.
import { isTree, type Tree } from "../json.ts";
import { truncated } from "../message-text.ts";

type Report = (path: string, message: string) => void;

/**
 * Returns a value of the type. A value of another type is reported, and the result is undefined. Null counts as absent,
 * as in Kubernetes' API and in protobuf's JSON.
 */
export type FieldType = (value: unknown, path: string, report: Report) => unknown;
export type FieldTypes = Readonly<Record<string, FieldType>>;

export interface FieldFault {
  /** For example `spec.ports[0].name`. */
  readonly path: string;
  readonly message: string;
}

/**
 * A copy of the object in which each described field has its type or is absent. Other fields stay as they are. `faults`
 * has the values of another type.
 */
export function withFieldTypes<Value extends object>(
  value: Value,
  types: FieldTypes,
): { readonly value: Value; readonly faults: readonly FieldFault[] } {
  const faults: FieldFault[] = [];
  const typed = fieldsOf(value as Tree, "", types, (path, message) => faults.push({ path, message }));
  return { value: typed as Value, faults };
}

const text = plain("a string", (value) => typeof value === "string");

export const fieldTypes = {
  text,
  number: plain("a number", (value) => typeof value === "number" && Number.isFinite(value)),
  flag: plain("true or false", (value) => typeof value === "boolean"),
  /** Kubernetes' IntOrString: a port or its name, a count or a percentage. */
  numberOrText: plain("a number or a string", (value) => typeof value === "number" || typeof value === "string"),
  record: plain("an object", isTree),
  texts: listOf(text, ""),
  textMap: mapOf(text),
  object,
  /** A list of objects. An element of another type becomes an empty object, so that the others keep their positions. */
  list: (fields: FieldTypes): FieldType => listOf(object(fields), {}, fields),
  /** A list of objects for people to read. An element of another type is left out. */
  rows: (fields: FieldTypes): FieldType => onlyOf(object(fields)),
  /** A list of strings for people to read. An element of another type is left out. */
  lines: onlyOf(text),
  /** A map of objects. A value of another type is left out. */
  mapOf: (fields: FieldTypes): FieldType => mapOf(object(fields)),
  /** A field that always exists. If it is absent, it has the zero value of its type, as in Go. */
  always:
    (type: FieldType, zero: unknown): FieldType =>
    (value, path, report) =>
      type(value, path, report) ?? zero,
  required:
    (type: FieldType): FieldType =>
    (value, path, report) => {
      if (value === undefined || value === null) report(path, "is required");
      return type(value, path, report);
    },
};

function plain(expected: string, accepts: (value: unknown) => boolean): FieldType {
  return (value, path, report) => (isOf(accepts, expected, value, path, report) ? value : undefined);
}

function object(fields: FieldTypes): FieldType {
  return (value, path, report) =>
    isOf(isTree, "an object", value, path, report) ? fieldsOf(value as Tree, path, fields, report) : undefined;
}

function listOf(type: FieldType, zero: unknown, fields: FieldTypes = {}): FieldType {
  return (value, path, report) =>
    isOf(Array.isArray, "a list", value, path, report)
      ? (value as readonly unknown[]).map(
          (element, index) =>
            type(element, `${path}[${index}]`, report) ?? (isTree(zero) ? fieldsOf(zero, "", fields, () => {}) : zero),
        )
      : undefined;
}

function onlyOf(type: FieldType): FieldType {
  return (value, path, report) =>
    isOf(Array.isArray, "a list", value, path, report)
      ? (value as readonly unknown[]).flatMap((element, index) => {
          const found = type(element, `${path}[${index}]`, report);
          return found === undefined ? [] : [found];
        })
      : undefined;
}

function mapOf(type: FieldType): FieldType {
  return (value, path, report) =>
    isOf(isTree, "an object", value, path, report)
      ? Object.fromEntries(
          Object.entries(value as Tree).flatMap(([key, inner]) => {
            const found = type(inner, `${path}.${key}`, report);
            return found === undefined ? [] : [[key, found]];
          }),
        )
      : undefined;
}

function fieldsOf(value: Tree, path: string, types: FieldTypes, report: Report): Tree {
  const found = new Map(Object.entries(value));
  for (const [field, type] of Object.entries(types)) {
    const read = type(value[field], path === "" ? field : `${path}.${field}`, report);
    if (read === undefined) found.delete(field);
    else found.set(field, read);
  }
  return Object.fromEntries(found);
}

function isOf(
  accepts: (value: unknown) => boolean,
  expected: string,
  value: unknown,
  path: string,
  report: Report,
): boolean {
  if (value === undefined || value === null) return false;
  if (accepts(value)) return true;
  report(path, `must be ${expected}, got ${describeValue(value)}`);
  return false;
}

const shownCharacters = 60;
/** The depth to which Envoy decodes nested messages. */
export const maxLevels = 100;

/** The value as JSON, cut to the length that messages show. */
export function describeValue(value: unknown): string {
  if (isNestedBeyond(value, maxLevels)) return `a value of more than ${maxLevels} levels`;
  return truncated(JSON.stringify(value) ?? String(value), shownCharacters);
}

export function isNestedBeyond(value: unknown, levels: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; depth < levels && level.length > 0; depth += 1)
    level = level.flatMap((value) => (typeof value === "object" && value !== null ? Object.values(value) : []));
  return level.some((value) => typeof value === "object" && value !== null);
}
