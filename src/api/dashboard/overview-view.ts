import type { Health } from "./graph-view.ts";
import type { View, ViewHead } from "./view.ts";

export interface OverviewView extends View {
  readonly head: OverviewHead;
  readonly tables: {
    readonly namespaces: Readonly<Record<string, NamespaceRow>>;
    readonly attention: Readonly<Record<string, AttentionRow>>;
  };
}

export interface OverviewHead extends ViewHead {
  readonly cluster: string;
  readonly requestRate: number;
  readonly errorShare: number;
  readonly p99Ms?: number;
  readonly proxies: {
    readonly synced: number;
    readonly stale: number;
    readonly rejected: number;
    readonly missing: number;
    /** Why the counts are unknown, for example because no control plane answers. Absent if they are known. */
    readonly unknown?: string;
    /** Why proxies may be missing in the counts. Absent if all control planes have answered. */
    readonly incomplete?: string;
  };
  readonly workloads: number;
  readonly rolloutsUnderWay: number;
}

export interface NamespaceRow {
  readonly name: string;
  readonly dataPlane: "sidecar" | "ambient" | "none";
  readonly revision: string;
  readonly workloads: number;
  readonly health: Health;
  readonly reason: string;
  readonly requestRate: number;
  readonly errorShare: number;
  readonly p99Ms?: number;
  readonly mutualTlsShare?: number;
  readonly configErrors: number;
  readonly configWarnings: number;
}

/** A problem that somebody should look at. The rows' keys sort the most severe problem first. */
export interface AttentionRow {
  readonly level: "error" | "warning" | "info";
  readonly text: string;
  readonly page: string;
}
