/**
 * A view contains what one page shows: a head, and tables of rows by key. Rows are flat enough to be compared as JSON.
 * Only changed rows are sent, so the cost of a page with 500 workloads depends on how much of it changes. Times are
 * milliseconds since 1970, rates are per second, and shares are from 0 to 1.
 */
export interface View {
  readonly head: ViewHead;
  readonly tables: Readonly<Record<string, Readonly<Record<string, object>>>>;
}

export interface ViewHead {
  /** When the view was made. Its sources may be older: see `sources`. */
  readonly atMs: number;
  readonly sources: readonly SourceState[];
}

/** One source of a view, and its age. Every view shows the age of its data. */
export interface SourceState {
  /** `kubernetes`, `metrics`, `pilot <pod>` or `prometheus`. */
  readonly name: string;
  readonly ok: boolean;
  /** The time of the source's latest data. Undefined before it delivered any. */
  readonly asOfMs?: number;
  /** The problem in words, and what to do. Set if `ok` is false. */
  readonly problem?: string;
}

export type ProblemCode =
  | "forbidden"
  | "not-found"
  | "unavailable"
  | "invalid"
  | "logged-out"
  | "conflict"
  | "too-long"
  | "internal";

/** An error for a person. Answers of the HTTP API with a status of 400 or above contain it as `{problem}`. */
export interface Problem {
  readonly code: ProblemCode;
  readonly message: string;
  readonly hint?: string;
}
