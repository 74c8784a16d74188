import type { ActionRequest, AuditRecord } from "./actions.ts";
import type { ConfigMessage } from "./config-view.ts";
import type { LoginRequest, Session } from "./session.ts";

/**
 * The page's requests other than the live stream: `GET` with the request in the query string, or `POST` with the
 * request as JSON and the header `x-serin-csrf`. An answer with a status of 400 or above is `{"problem": Problem}`.
 */
export interface DashboardRequests {
  readonly "GET /api/session": { readonly request: Readonly<Record<string, never>>; readonly answer: Session };
  readonly "POST /api/login": { readonly request: LoginRequest; readonly answer: Session };
  readonly "POST /api/logout": { readonly request: Readonly<Record<string, never>>; readonly answer: Session };
  readonly "GET /api/series": { readonly request: SeriesRequest; readonly answer: SeriesAnswer };
  readonly "GET /api/logs": { readonly request: LogsRequest; readonly answer: LogsAnswer };
  readonly "GET /api/proxy": { readonly request: ProxyRequest; readonly answer: ProxyAnswer };
  readonly "POST /api/validate": {
    readonly request: { readonly yaml: string };
    readonly answer: { readonly messages: readonly ConfigMessage[] };
  };
  readonly "POST /api/what-if": { readonly request: { readonly yaml: string }; readonly answer: WhatIfAnswer };
  readonly "POST /api/apply": { readonly request: ApplyRequest; readonly answer: ApplyAnswer };
  readonly "POST /api/action": { readonly request: ActionRequest; readonly answer: { readonly done: string } };
  readonly "GET /api/audit": {
    readonly request: Readonly<Record<string, never>>;
    readonly answer: { readonly records: readonly AuditRecord[] };
  };
}

export type RequestName = keyof DashboardRequests;

export const seriesMeasures = [
  "requestRate",
  "errorShare",
  "p50Ms",
  "p90Ms",
  "p99Ms",
  "byteRate",
  "cpuSeconds",
  "memoryBytes",
] as const;
export type SeriesMeasure = (typeof seriesMeasures)[number];

/** A time series of one workload, service or rollout backend, or of the whole mesh if all of these are empty. */
export interface SeriesRequest {
  readonly measure: SeriesMeasure;
  readonly namespace: string;
  readonly workload: string;
  readonly service: string;
  /** `canaryBackend` or `stableBackend` of a rollout's head. */
  readonly backend: string;
  readonly fromMs: number;
  /** 0 means now. */
  readonly toMs: number;
  /** The maximum number of points, from 2 to 1,000. */
  readonly points: number;
}

export interface SeriesAnswer {
  readonly timesMs: readonly number[];
  /** `null` at a time without a measurement. */
  readonly values: readonly (number | null)[];
}

export interface LogsRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** The number of lines from the end of the log, at most 5,000. */
  readonly tailLines: number;
  readonly previous: boolean;
}

export interface LogsAnswer {
  readonly text: string;
  readonly truncated: boolean;
}

export const proxySections = [
  "clusters",
  "listeners",
  "routes",
  "endpoints",
  "secrets",
  "bootstrap",
  "workloads",
  "services",
  "policies",
] as const;
export type ProxySection = (typeof proxySections)[number];

export interface ProxyRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly section: ProxySection;
}

export interface ProxyAnswer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** The whole resource as YAML, for each row. */
  readonly details: readonly string[];
  readonly truncated: boolean;
}

/** The proxies whose configuration would change if the objects were applied. Nothing is written. */
export interface WhatIfAnswer {
  readonly messages: readonly ConfigMessage[];
  readonly proxies: readonly {
    readonly proxy: string;
    readonly namespace: string;
    readonly type: string;
    readonly changes: readonly {
      readonly resource: string;
      readonly change: "added" | "changed" | "removed";
      readonly difference: string;
    }[];
  }[];
  readonly compared: number;
  /** Why the answer is incomplete. Empty if it is complete. */
  readonly incomplete: string;
}

export interface ApplyRequest {
  readonly yaml: string;
  readonly dryRun: boolean;
  /**
   * The version of the object that was edited. If the object has changed since, the answer is a `conflict`. Empty for a
   * new object.
   */
  readonly resourceVersion: string;
}

export interface ApplyAnswer {
  readonly applied: readonly string[];
  readonly warnings: readonly string[];
}
