import { headerValue, type Headers } from "../../wire/hbone/index.ts";

/** Converts a decoded header block (alternating names and values) to pairs. */
export function pairsOf(fields: readonly string[]): Headers {
  const pairs: [string, string][] = [];
  for (let index = 0; index + 1 < fields.length; index += 2) pairs.push([fields[index] ?? "", fields[index + 1] ?? ""]);
  return pairs;
}

/** `:status` as a number. 0 if it is missing or invalid. */
export function statusOf(headers: Headers): number {
  const status = Number(headerValue(headers, ":status") ?? 0);
  return Number.isInteger(status) ? status : 0;
}
