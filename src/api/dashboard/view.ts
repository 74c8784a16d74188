/**
 * A view contains what one page shows: a head, and tables of rows by key. The server compares rows as JSON and sends
 * only changed ones, so rows must be flat. Times are milliseconds since 1970, rates are per second, and shares are from
 * 0 to 1.
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

/** A source of a view, and the age of its data. Every view shows it. */
export interface SourceState {
  /** `kubernetes`, `metrics`, `pilot <pod>` or `prometheus`. */
  readonly name: string;
  readonly ok: boolean;
  /** The time of the source's latest data. Undefined before it delivered any. */
  readonly asOfMs?: number;
  /** What is wrong with the source, and what to do. Set if `ok` is false. */
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

export interface Problem {
  readonly code: ProblemCode;
  readonly message: string;
  readonly hint?: string;
}
