import type { Labels } from "./labels.ts";

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export interface Point {
  readonly timestampMs: number;
  readonly value: number;
}

export interface RangeSeries {
  readonly labels: Labels;
  /** In order of time. */
  readonly points: readonly Point[];
}

export type QueryValue =
  | { readonly type: "scalar"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "vector"; readonly samples: readonly Sample[] }
  | { readonly type: "matrix"; readonly series: readonly RangeSeries[] };
