/**
 * A view is what one page shows: a head, and tables of rows by key. Rows are flat enough to be compared as JSON: what changed is sent
 * row by row, so a page of 500 workloads costs what moves on it. Times are milliseconds since 1970, rates are per second, shares from 0 to 1.
 */
export interface View {
  readonly head: ViewHead;
  readonly tables: Readonly<Record<string, Readonly<Record<string, object>>>>;
}

export interface ViewHead {
  /** When the view was made. What its sources knew may be older: see `sources`. */
  readonly atMs: number;
  readonly sources: readonly SourceState[];
}

/** One of the things that a view is made of, and how old it is: nothing is shown without saying its age. */
export interface SourceState {
  /** `kubernetes`, `metrics`, `pilot <pod>`, `prometheus`. */
  readonly name: string;
  readonly ok: boolean;
  /** What the source last told is of this time; undefined before it told anything. */
  readonly asOfMs?: number;
  /** In words, with what to do; where `ok` is false. */
  readonly problem?: string;
}

/** An error as a person reads it; answers of the HTTP API with a status of 400 and above have it as `{problem}`. */
export interface Problem {
  /** `forbidden`, `not-found`, `unavailable`, `invalid`, `logged-out`, `conflict`, `internal`. */
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}
