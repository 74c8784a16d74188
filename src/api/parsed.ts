/**
 * The subject of a warning, for programs. `no-effect` includes fields that have an effect only in Envoy.
 * `relative-weights` means that weights do not add up to 100.
 */
export type IssueCode =
  | "deprecated"
  | "deprecated-no-effect"
  | "never-used"
  | "no-effect"
  | "operation-no-effect"
  | "relative-weights";

/** An issue with one field. `path` has the form `spec.rules[0].backendRefs[1].port`. */
export interface FieldIssue {
  readonly path: string;
  /** What is wrong, what was expected and what to do. It does not repeat the path. */
  readonly message: string;
  readonly code?: IssueCode;
}

/**
 * The result of every `parseX(raw)`, with all errors and warnings. If there are no errors, `value` is the object with
 * every default filled in. Otherwise it is undefined.
 */
export type Parsed<Value> =
  | { readonly value: Value; readonly errors: readonly []; readonly warnings: readonly FieldIssue[] }
  | {
      readonly value: undefined;
      readonly errors: readonly [FieldIssue, ...FieldIssue[]];
      readonly warnings: readonly FieldIssue[];
    };

/** Formats one issue per line: `spec.replicas: must be a whole number, got "two"`. */
export function formatIssues(issues: readonly FieldIssue[]): string {
  return issues.map((issue) => (issue.path === "" ? issue.message : `${issue.path}: ${issue.message}`)).join("\n");
}

/**
 * The issues, with the name of the file or flag that has them. One issue is on the same line, and several follow on
 * indented lines.
 */
export function formatIssuesOf(source: string, issues: readonly FieldIssue[]): string {
  const text = formatIssues(issues);
  return issues.length === 1
    ? `${source}: ${text}`
    : `${source} has ${issues.length} errors:\n${text.replaceAll(/^/gm, "  ")}`;
}
