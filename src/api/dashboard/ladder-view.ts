import type { View, ViewHead } from "./view.ts";

/**
 * The parts of the mesh (see {@link LadderRung}) and the revisions: where each part is, where it goes, and what blocks
 * it.
 */
export interface LadderView extends View {
  readonly head: LadderHead;
  readonly tables: {
    readonly revisions: Readonly<Record<string, LadderRevision>>;
    readonly rungs: Readonly<Record<string, LadderRung>>;
    readonly proxies: Readonly<Record<string, LadderProxy>>;
  };
}

export interface LadderHead extends ViewHead {
  /** The MeshUpgrade in progress, or else the latest one. Empty if there is none. */
  readonly upgrade: string;
}

export interface LadderRevision {
  readonly name: string;
  readonly version: string;
  /** The tags that point to the revision. `default` counts as a tag. */
  readonly tags: readonly string[];
  readonly podsReady: number;
  readonly pods: number;
  /** The first 12 hex digits of the SHA-256 of the revision's signing root. Empty if unknown. */
  readonly root: string;
  /** The number of connected proxies. Absent if a control plane of the revision does not answer. */
  readonly proxies?: number;
}

export interface LadderRung {
  readonly kind: "control plane" | "namespace" | "gateway" | "waypoint" | "ztunnel" | "cni";
  readonly namespace: string;
  readonly name: string;
  /**
   * For each revision, the share of this part's pods. While a gateway or waypoint moves, it is the share of its
   * traffic. The shares add up to 1.
   */
  readonly at: Readonly<Record<string, number>>;
  readonly pods: Readonly<Record<string, number>>;
  /** The revision that the part's labels select. Empty outside the mesh. */
  readonly wanted: string;
  /**
   * The revision that the current upgrade moves this part to. Empty if the part is there already, or if there is no
   * upgrade.
   */
  readonly goingTo: string;
  /**
   * What blocks the part's move, by name: an unready pod, a proxy that rejects configuration, a PodDisruptionBudget.
   */
  readonly blockedBy: readonly string[];
  /** The decisions that a person must make before the part's move continues. They are not faults. */
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
  /**
   * The reason of a NACK, with the type of the resource. For `stale`, the types of the resources that were sent and
   * that the proxy has not acknowledged yet.
   */
  readonly reason: string;
  readonly connectedAtMs?: number;
}
