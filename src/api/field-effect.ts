import type { FieldIssue } from "./parsed.ts";

/** Whether a parser's warning says that a field does nothing, or nothing at Serin's own proxies. */
export function tellsOfNoEffect({ message }: FieldIssue): boolean {
  return /\b(has no effect|Envoy alone|Envoy only)\b/.test(message);
}
