import { rfc3339Seconds } from "../base/index.ts";
import type { KubernetesObject } from "../api/index.ts";
import { unreadableBytes, WireReader } from "./wire-reader.ts";

/**
 * A field that an excerpt reads. `number` is its protobuf field number in Kubernetes' binary form (`generated.proto` of
 * k8s.io/api and k8s.io/apimachinery), and `holds` is its type. Reading the binary form omits zero values, so the
 * result is the same as from JSON.
 */
export interface ExcerptField {
  readonly number: number;
  readonly holds: "text" | "whole number" | "flag" | "time" | "texts by name" | Excerpt;
  readonly repeated?: true;
}

/** The fields of a message to read, by JSON name. All other fields are skipped. */
export type Excerpt = Readonly<Record<string, ExcerptField>>;

/** The metadata that identify an object and its version, with labels, annotations and owners. */
export const metadataExcerpt: Excerpt = {
  name: { number: 1, holds: "text" },
  generateName: { number: 2, holds: "text" },
  namespace: { number: 3, holds: "text" },
  uid: { number: 5, holds: "text" },
  resourceVersion: { number: 6, holds: "text" },
  deletionTimestamp: { number: 9, holds: "time" },
  labels: { number: 11, holds: "texts by name" },
  annotations: { number: 12, holds: "texts by name" },
  ownerReferences: {
    number: 13,
    repeated: true,
    holds: {
      kind: { number: 1, holds: "text" },
      name: { number: 3, holds: "text" },
      uid: { number: 4, holds: "text" },
      apiVersion: { number: 5, holds: "text" },
      controller: { number: 6, holds: "flag" },
    },
  },
};

type Json = Record<string, unknown>;

/** Reduces a JSON object to the excerpt's fields. */
export function pickExcerpt<Value extends KubernetesObject>(
  excerpt: Excerpt,
  { apiVersion, kind, ...object }: Value,
): Value {
  return {
    ...(apiVersion === undefined ? {} : { apiVersion }),
    ...(kind === undefined ? {} : { kind }),
    ...pick(excerpt, object),
  } as Value;
}

function pick(excerpt: Excerpt, from: Readonly<Json>): Json {
  const result: Json = {};
  for (const [name, { holds, repeated }] of Object.entries(excerpt)) {
    const value = from[name];
    if (value === undefined || value === null) continue;
    if (typeof holds === "string") result[name] = value;
    else
      result[name] =
        repeated === true ? (value as Json[]).map((item) => pick(holds, item)) : pick(holds, value as Json);
  }
  return result;
}

type NumberedFields = readonly (NumberedField | undefined)[];
interface NumberedField {
  readonly name: string;
  readonly repeated: boolean;
  readonly holds: Exclude<ExcerptField["holds"], Excerpt> | NumberedFields;
}

const numbered = new WeakMap<Excerpt, NumberedFields>();

function fieldsOf(excerpt: Excerpt): NumberedFields {
  const known = numbered.get(excerpt);
  if (known !== undefined) return known;
  const fields: (NumberedField | undefined)[] = [];
  for (const [name, { number, holds, repeated = false }] of Object.entries(excerpt))
    fields[number] = { name, repeated, holds: typeof holds === "string" ? holds : fieldsOf(holds) };
  numbered.set(excerpt, fields);
  return fields;
}

const magic = "k8s\0";
/** The field number of the object in runtime.Unknown, the envelope of the binary form. */
const rawNumber = 2;
const listExcerpt: Excerpt = { resourceVersion: { number: 2, holds: "text" }, continue: { number: 3, holds: "text" } };
const statusExcerpt: Excerpt = {
  message: { number: 3, holds: "text" },
  reason: { number: 4, holds: "text" },
  code: { number: 6, holds: "whole number" },
};
const listMetadataNumber = 1;
const listItemsNumber = 2;

export interface ExcerptList {
  readonly resourceVersion: string;
  /** The token of the next page, or an empty string on the last page. */
  readonly next: string;
  /** Decodes the objects. This is most of the work, so a caller can request the next page first. */
  items(): Json[];
}

/** Parses a list in Kubernetes' binary form. Throws if the bytes are invalid. */
export function readExcerptList(excerpt: Excerpt, bytes: Buffer): ExcerptList {
  const reader = unwrapped(bytes);
  const metadata: { resourceVersion?: string; continue?: string } =
    reader.next() === listMetadataNumber ? message(fieldsOf(listExcerpt), reader, reader.endOfField()) : {};
  return {
    resourceVersion: metadata.resourceVersion ?? "",
    next: metadata.continue ?? "",
    items: () => {
      const fields = fieldsOf(excerpt);
      const items: Json[] = [];
      for (let number = reader.next(); number !== 0; number = reader.next()) {
        if (number === listItemsNumber) items.push(message(fields, reader, reader.endOfField()));
        else reader.skip();
      }
      return items;
    },
  };
}

/** Parses a Status in Kubernetes' binary form. */
export function readStatus(bytes: Buffer): Json {
  const reader = unwrapped(bytes);
  return { kind: "Status", ...message(fieldsOf(statusExcerpt), reader, reader.end) };
}

function unwrapped(bytes: Buffer): WireReader {
  if (bytes.toString("latin1", 0, magic.length) !== magic) throw unreadableBytes("the bytes begin differently");
  const reader = new WireReader(bytes, magic.length, bytes.length);
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number !== rawNumber) {
      reader.skip();
      continue;
    }
    const end = reader.endOfField();
    return new WireReader(bytes, reader.position, end);
  }
  throw unreadableBytes("the bytes contain no object");
}

function message(fields: NumberedFields, reader: WireReader, end: number): Json {
  const result: Json = {};
  const outer = reader.narrow(end);
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    const field = fields[number];
    if (field === undefined) {
      reader.skip();
      continue;
    }
    const { name, holds, repeated } = field;
    if (holds === "texts by name") {
      entry(reader, (result[name] ??= {}) as Record<string, string>);
      continue;
    }
    const value = typeof holds === "string" ? scalar(holds, reader) : message(holds, reader, reader.endOfField());
    if (repeated) ((result[name] ??= []) as unknown[]).push(value ?? "");
    else if (value !== undefined) result[name] = value;
  }
  reader.widen(outer);
  return result;
}

/** Reads a value. Returns undefined for the zero value of its type. */
function scalar(
  holds: "text" | "whole number" | "flag" | "time",
  reader: WireReader,
): string | number | boolean | undefined {
  if (holds === "text") return reader.text() || undefined;
  if (holds === "time") return time(reader);
  const value = reader.wholeNumber();
  if (value === 0) return undefined;
  return holds === "flag" ? true : value;
}

const entryKeyNumber = 1;
const entryValueNumber = 2;

function entry(reader: WireReader, into: Record<string, string>): void {
  const outer = reader.narrow(reader.endOfField());
  let key = "";
  let value = "";
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number === entryKeyNumber) key = reader.text();
    else if (number === entryValueNumber) value = reader.text();
    else reader.skip();
  }
  reader.widen(outer);
  into[key] = value;
}

const secondsNumber = 1;

function time(reader: WireReader): string {
  const outer = reader.narrow(reader.endOfField());
  let seconds = 0;
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number === secondsNumber) seconds = reader.wholeNumber();
    else reader.skip();
  }
  reader.widen(outer);
  return rfc3339Seconds(seconds * 1000);
}
