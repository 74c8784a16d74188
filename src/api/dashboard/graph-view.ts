import type { View, ViewHead } from "./view.ts";

/** What a node stands for. */
export const graphGroupings = ["versionedApp", "workload", "app", "service"] as const;
export type GraphGrouping = (typeof graphGroupings)[number];

export type Health = "healthy" | "degraded" | "failing" | "idle" | "unknown";

export interface GraphView extends View {
  readonly head: GraphHead;
  readonly tables: {
    readonly nodes: Readonly<Record<string, GraphNode>>;
    readonly edges: Readonly<Record<string, GraphEdge>>;
    readonly routes: Readonly<Record<string, GraphRoute>>;
  };
}

export interface GraphHead extends ViewHead {
  readonly windowSeconds: number;
  /** The moment that is shown; `live` says that it moves. */
  readonly shownAtMs: number;
  readonly live: boolean;
  /** What the store still has, for time travel. */
  readonly oldestMs?: number;
  /** Namespaces that there are for this user, also those that are filtered out. */
  readonly namespaces: readonly string[];
  /** So many nodes or edges were left out because there are more than a page can show; 0 as a rule. */
  readonly omitted: number;
}

export interface GraphNode {
  /** `unknown` is whom no proxy could name; `external` is a host outside of the mesh. */
  readonly kind: "workload" | "app" | "service" | "gateway" | "waypoint" | "ztunnel" | "external" | "unknown";
  readonly namespace: string;
  readonly name: string;
  readonly app: string;
  readonly version: string;
  /** The mesh's revision that serves it; empty where there is none. */
  readonly revision: string;
  readonly dataPlane: "sidecar" | "ambient" | "proxy" | "none";
  readonly health: Health;
  /** Why it is not healthy, in words. */
  readonly reason: string;
  readonly podsReady: number;
  readonly pods: number;
  readonly requestRate: number;
  readonly errorShare: number;
  /** The rollout that moves it: `Canary shop/shop`. Empty without one. */
  readonly rollout: string;
}

export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly requestRate: number;
  /** The share of 5xx responses, and of requests without a response. */
  readonly errorShare: number;
  readonly clientErrorShare: number;
  /** Rates by response code (`200`), and by response flag where one was set (`503 UF`). */
  readonly responses: Readonly<Record<string, number>>;
  readonly p50Ms?: number;
  readonly p95Ms?: number;
  readonly p99Ms?: number;
  /** Both ways; of TCP. */
  readonly byteRate: number;
  readonly openedRate: number;
  /** Undefined where no proxy at the destination has told. */
  readonly mutualTlsShare?: number;
  readonly health: Health;
  /** The Service by which it goes; empty where that is not known. */
  readonly service: string;
  /** Percent that the route's configuration sends there, and the share that was measured; undefined where no rule with weights holds. */
  readonly configuredWeight?: number;
  readonly measuredShare?: number;
  /** Key of `routes`; empty without one. */
  readonly route: string;
}

/** One rule that splits traffic: as configured, and as measured. */
export interface GraphRoute {
  /** `HTTPRoute default/reviews`. */
  readonly object: string;
  readonly namespace: string;
  readonly service: string;
  /** In words: `all`, `header end-user is jason`. */
  readonly match: string;
  readonly destinations: readonly {
    readonly name: string;
    readonly weight: number;
    readonly share?: number;
    readonly requestRate: number;
  }[];
}
