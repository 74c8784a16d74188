import type { View, ViewHead } from "./view.ts";

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
  /** The time that the graph shows. If `live` is true, it advances. */
  readonly shownAtMs: number;
  readonly live: boolean;
  /** The oldest time in the metrics store. Time travel cannot go further back. */
  readonly oldestMs?: number;
  /** All namespaces that this user can see, including those that the filter hides. */
  readonly namespaces: readonly string[];
  /** The number of nodes and edges that the view leaves out because a page cannot show more. Usually 0. */
  readonly omitted: number;
}

export interface GraphNode {
  /** `unknown` is a peer that no proxy could identify. `external` is a host outside the mesh. */
  readonly kind: "workload" | "app" | "service" | "gateway" | "waypoint" | "ztunnel" | "external" | "unknown";
  readonly namespace: string;
  readonly name: string;
  readonly app: string;
  readonly version: string;
  /** The mesh revision that serves the node. Empty outside the mesh. */
  readonly revision: string;
  readonly dataPlane: "sidecar" | "ambient" | "proxy" | "none";
  readonly health: Health;
  readonly reason: string;
  readonly podsReady: number;
  readonly pods: number;
  readonly requestRate: number;
  readonly errorShare: number;
  /** The rollout that changes the node, for example `Canary shop/shop`. Empty if there is none. */
  readonly rollout: string;
}

export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly requestRate: number;
  /** The share of requests with a 5xx response or without a response. */
  readonly errorShare: number;
  readonly clientErrorShare: number;
  /** Rates by response code (`200`), with the response flag if one was set (`503 UF`). */
  readonly responses: Readonly<Record<string, number>>;
  readonly p50Ms?: number;
  readonly p95Ms?: number;
  readonly p99Ms?: number;
  /** TCP bytes in both directions. */
  readonly byteRate: number;
  readonly openedRate: number;
  /** The share of traffic with mutual TLS, from 0 to 1. Absent if no proxy at the destination reports it. */
  readonly mutualTlsShare?: number;
  readonly health: Health;
  /** The Service that clients call. Empty if unknown. */
  readonly service: string;
  /** The configured percentage and the measured share. Undefined if no weighted route applies. */
  readonly configuredWeight?: number;
  readonly measuredShare?: number;
  readonly route: string;
}

export interface GraphRoute {
  /** The object that configures the route, for example `HTTPRoute default/reviews`. */
  readonly object: string;
  readonly namespace: string;
  readonly service: string;
  /** The requests that match, in words, for example `all` or `header end-user is jason`. */
  readonly match: string;
  readonly destinations: readonly {
    readonly name: string;
    readonly weight: number;
    readonly share?: number;
    readonly requestRate: number;
  }[];
}
