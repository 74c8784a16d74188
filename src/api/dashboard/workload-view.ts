import type { ConfigRow } from "./config-view.ts";
import type { GraphEdge, GraphNode, Health } from "./graph-view.ts";
import type { LadderProxy } from "./ladder-view.ts";
import type { View, ViewHead } from "./view.ts";
import type { EventRow } from "./rollout-view.ts";

export interface WorkloadsView extends View {
  readonly tables: { readonly workloads: Readonly<Record<string, WorkloadRow>> };
}

export interface WorkloadRow {
  readonly namespace: string;
  readonly name: string;
  /** `Deployment`, `StatefulSet`, `DaemonSet`, `Job`, `Pod`, … */
  readonly kind: string;
  readonly app: string;
  readonly version: string;
  readonly revision: string;
  readonly dataPlane: GraphNode["dataPlane"];
  readonly podsReady: number;
  readonly pods: number;
  readonly restarts: number;
  readonly health: Health;
  readonly reason: string;
  readonly requestRate: number;
  readonly errorShare: number;
  readonly p99Ms?: number;
}

export interface WorkloadView extends View {
  readonly head: WorkloadHead;
  readonly tables: {
    /** The pods, at most {@link maxListedPods}. `head.podCount` is the total. */
    readonly pods: Readonly<Record<string, PodRow>>;
    readonly inbound: Readonly<Record<string, PeerRow>>;
    readonly outbound: Readonly<Record<string, PeerRow>>;
    readonly services: Readonly<Record<string, ServiceRow>>;
    readonly configs: Readonly<Record<string, ConfigRow>>;
    readonly proxies: Readonly<Record<string, LadderProxy>>;
    readonly events: Readonly<Record<string, EventRow>>;
  };
}

export const maxListedPods = 200;

export interface WorkloadHead extends ViewHead {
  readonly row: WorkloadRow;
  readonly podCount: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAtMs?: number;
  readonly images: readonly string[];
  readonly serviceAccount: string;
}

export interface PodRow {
  readonly name: string;
  readonly node: string;
  readonly ip: string;
  /** The state as kubectl shows it, such as `Running` or `CrashLoopBackOff`. */
  readonly state: string;
  readonly ready: string;
  readonly restarts: number;
  readonly startedAtMs?: number;
  readonly containers: readonly string[];
  readonly revision: string;
  /** In ambient mode, the ztunnel that serves the pod, or why none does. */
  readonly ztunnel: string;
}

export interface PeerRow extends GraphEdge {
  readonly peer: string;
  readonly peerNamespace: string;
  readonly peerName: string;
}

export interface ServicesView extends View {
  readonly tables: { readonly services: Readonly<Record<string, ServiceRow>> };
}

export interface ServiceRow {
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly clusterIp: string;
  readonly ports: readonly string[];
  readonly endpointsReady: number;
  readonly endpoints: number;
  readonly health: Health;
  readonly reason: string;
  readonly requestRate: number;
  readonly errorShare: number;
  readonly p99Ms?: number;
  readonly waypoint: string;
}

export interface ServiceView extends View {
  readonly head: ServiceHead;
  readonly tables: {
    readonly workloads: Readonly<Record<string, WorkloadRow>>;
    readonly endpoints: Readonly<
      Record<string, { readonly address: string; readonly pod: string; readonly ready: boolean; readonly node: string }>
    >;
    readonly inbound: Readonly<Record<string, PeerRow>>;
    readonly configs: Readonly<Record<string, ConfigRow>>;
    readonly events: Readonly<Record<string, EventRow>>;
  };
}

export interface ServiceHead extends ViewHead {
  readonly row: ServiceRow;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector: Readonly<Record<string, string>>;
}
