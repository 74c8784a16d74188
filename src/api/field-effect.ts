import type { FieldIssue } from "./parsed.ts";

/** Whether a parser's warning means that a field has no effect, or none in Serin's own proxies. */
export function tellsOfNoEffect({ message }: FieldIssue): boolean {
  return /\b(has no effect|Envoy alone|Envoy only)\b/.test(message);
}
