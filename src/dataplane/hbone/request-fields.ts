import type { Headers } from "../../wire/hbone/index.ts";

/** Returns the value of a field in a decoded header block (alternating names and values). */
export function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let index = 0; index < fields.length; index += 2) if (fields[index] === name) return fields[index + 1];
  return undefined;
}

/** Returns the fields of a decoded header block as pairs, without the pseudo-header fields. */
export function headersOf(fields: readonly string[]): Headers {
  const headers: [string, string][] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? "";
    if (!name.startsWith(":")) headers.push([name, fields[index + 1] ?? ""]);
  }
  return headers;
}

/** Returns `:status` as a number, or 0 if it is missing or invalid. */
export function statusOf(fields: readonly string[]): number {
  const status = Number(fieldOf(fields, ":status") ?? 0);
  return Number.isInteger(status) ? status : 0;
}
