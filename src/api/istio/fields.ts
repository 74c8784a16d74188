import type { Reader } from "../reader.ts";

/** How fields of Istio's kinds are read, where many kinds agree. */

export const maxPort = 65_535;

/** A string; an empty one counts as absent, as in protobuf. */
export function readText(reader: Reader, field: string): string | undefined {
  const value = reader.string(field);
  return value === "" ? undefined : value;
}

/** A string that must be there and not be empty; empty (beside an error) when it is not. */
export function requireText(reader: Reader, field: string): string {
  const value = reader.string(field);
  if (value === "" || (value === undefined && !reader.has(field))) reader.error("is required", field);
  return value ?? "";
}

const unitMs: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const durationPattern = /^[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$/;
const partPattern = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/** Go's durations (`10s`, `1m30s`, `0.5s`) in milliseconds; undefined for anything else. */
export function durationTextMs(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  let totalMs = 0;
  for (const [, digits = "0", unit = "ms"] of text.matchAll(partPattern)) totalMs += Number(digits) * (unitMs[unit] ?? 0);
  return text.startsWith("-") ? -totalMs : totalMs;
}

/** A duration of at least `minimumMs`, in milliseconds. */
export function readDurationMs(reader: Reader, field: string, minimumMs = 0): number | undefined {
  const text = reader.string(field);
  if (text === undefined) return undefined;
  const value = durationTextMs(text);
  if (value === undefined) reader.error(`must be a duration such as 10s or 1m30s, got "${text}"`, field);
  else if (value < minimumMs) {
    reader.error(`must be at least ${minimumMs}ms, got "${text}"`, field);
    return undefined;
  }
  return value;
}

/** A port number, 1 to 65535. */
export function readPortNumber(reader: Reader, field: string): number | undefined {
  return reader.integer(field, 1, maxPort);
}

/** A field that we do not know may be newer than we are: it is said, but refuses nothing. */
export function warnOfUnknown(reader: Reader | undefined): void {
  reader?.unknownFields((field) => reader.warn("is not known here and has no effect", field));
}

/** Where a field decides who may talk to whom or where requests go, going on without it would do something else than was asked for. */
export function refuseUnknown(reader: Reader | undefined): void {
  reader?.unknownFields((field) => reader.error("is not a field of this kind that is known here; take it out, or correct its name", field));
}

/** A map whose values are objects. */
export function readObjects<Value>(reader: Reader, field: string, read: (value: Reader, key: string) => Value): Readonly<Record<string, Value>> {
  const map = reader.object(field);
  const found: Record<string, Value> = {};
  for (const key of Object.keys((map?.raw as object | undefined) ?? {})) {
    const value = map?.object(key);
    if (value !== undefined) found[key] = read(value, key);
  }
  return found;
}

/** The spec of an object; one that is absent counts as empty. */
export function readSpec(object: Reader): Reader {
  return object.object("spec") ?? object.empty("spec");
}
