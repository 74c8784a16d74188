import type { View, ViewHead } from "./view.ts";

/** Every part of the mesh against the revisions: where it is, where it is going, what blocks it. */
export interface LadderView extends View {
  readonly head: LadderHead;
  readonly tables: {
    readonly revisions: Readonly<Record<string, LadderRevision>>;
    readonly rungs: Readonly<Record<string, LadderRung>>;
    readonly proxies: Readonly<Record<string, LadderProxy>>;
  };
}

export interface LadderHead extends ViewHead {
  /** The MeshUpgrade that is under way, or ended last; empty without one. */
  readonly upgrade: string;
}

export interface LadderRevision {
  readonly name: string;
  readonly version: string;
  /** Tags that lead to it; `default` among them. */
  readonly tags: readonly string[];
  readonly podsReady: number;
  readonly pods: number;
  /** SHA-256 of the root that it signs by, the first 12 digits; empty when not known. */
  readonly root: string;
  /** Proxies connected to it. */
  readonly proxies: number;
}

export interface LadderRung {
  readonly kind: "control plane" | "namespace" | "gateway" | "waypoint" | "ztunnel" | "cni";
  readonly namespace: string;
  readonly name: string;
  /** Shares of its pods (or of its traffic, for a gateway or waypoint under way) by revision; they sum up to 1. */
  readonly at: Readonly<Record<string, number>>;
  readonly pods: Readonly<Record<string, number>>;
  /** The revision that its labels ask for; empty where it is in no mesh. */
  readonly wanted: string;
  /** Where the upgrade under way leads it; empty when it is there, or there is none. */
  readonly goingTo: string;
  /** What blocks it, by name: a pod that is not ready, a proxy that rejects, a PodDisruptionBudget. */
  readonly blockedBy: readonly string[];
  /** What a person has to say before it goes on; nothing is wrong. */
  readonly waitsFor: readonly string[];
}

export interface LadderProxy {
  readonly pod: string;
  readonly namespace: string;
  readonly type: "sidecar" | "gateway" | "waypoint" | "ztunnel";
  readonly revision: string;
  readonly version: string;
  readonly node: string;
  readonly state: "synced" | "stale" | "rejected" | "not connected";
  /** For a NACK, the reason with its type. For `stale`, what was sent and is not acknowledged. */
  readonly reason: string;
  readonly connectedAtMs?: number;
}
