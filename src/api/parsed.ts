/** What a parser says of one field. `path` is as people write it: `spec.rules[0].backendRefs[1].port`. */
export interface FieldIssue {
  readonly path: string;
  /** What was found, what was expected and what to do, without the path. */
  readonly message: string;
}

/**
 * The answer of every `parseX(raw)`: all errors and warnings at once, never only the first. `value` is there exactly when
 * there are no errors, with every default filled in.
 */
export type Parsed<Value> =
  | { readonly value: Value; readonly errors: readonly []; readonly warnings: readonly FieldIssue[] }
  | {
      readonly value: undefined;
      readonly errors: readonly [FieldIssue, ...FieldIssue[]];
      readonly warnings: readonly FieldIssue[];
    };

/** `spec.replicas: must be a whole number, got "two"`, one line an issue. */
export function formatIssues(issues: readonly FieldIssue[]): string {
  return issues.map((issue) => (issue.path === "" ? issue.message : `${issue.path}: ${issue.message}`)).join("\n");
}
