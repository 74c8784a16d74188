import type { ActionRequest, AuditRecord } from "./actions.ts";
import type { ConfigMessage } from "./config-view.ts";
import type { LoginRequest, Session } from "./session.ts";

/**
 * What the page asks apart from the live stream: `GET` with the request as query, `POST` with it as JSON (and header `x-serin-csrf`).
 * An answer of 400 and above is `{"problem": Problem}`.
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

/** A series of one subject: a workload, a service, a backend of a rollout, or the whole mesh if all are empty. */
export interface SeriesRequest {
  readonly measure: SeriesMeasure;
  readonly namespace: string;
  readonly workload: string;
  readonly service: string;
  /** `canaryBackend` or `stableBackend` of a rollout's head. */
  readonly backend: string;
  readonly fromMs: number;
  /** 0 is now. */
  readonly toMs: number;
  /** Points at most; between 2 and 1,000. */
  readonly points: number;
}

export interface SeriesAnswer {
  readonly timesMs: readonly number[];
  /** null where nothing was measured. */
  readonly values: readonly (number | null)[];
}

export interface LogsRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  /** At most 5,000. */
  readonly tailLines: number;
  readonly previous: boolean;
}

export interface LogsAnswer {
  readonly text: string;
  /** The beginning was left out. */
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

/** What a proxy has in effect, as it tells itself; a ztunnel knows workloads, services and policies, the others do not. */
export interface ProxyRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly section: ProxySection;
}

export interface ProxyAnswer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** By row: the whole resource as YAML. */
  readonly details: readonly string[];
  readonly truncated: boolean;
}

/** Which proxies would be sent something else if the objects were applied; nothing is written. */
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
  /** Proxies that were asked for. */
  readonly compared: number;
  /** Why the answer is not whole; empty when it is. */
  readonly incomplete: string;
}

export interface ApplyRequest {
  readonly yaml: string;
  readonly dryRun: boolean;
  /** The version of the object that was edited. Another version by now is a `conflict`. Empty for a new object. */
  readonly resourceVersion: string;
}

export interface ApplyAnswer {
  readonly applied: readonly string[];
  readonly warnings: readonly string[];
}
