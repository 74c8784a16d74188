import type { FieldIssue, IssueCode } from "./parsed.ts";

const codes: ReadonlySet<IssueCode | undefined> = new Set(["no-effect", "deprecated-no-effect", "operation-no-effect"]);

/** Whether a parser's warning means that a field has no effect, or has none in Serin's own proxies. */
export function meansNoEffect({ code }: FieldIssue): boolean {
  return codes.has(code);
}
