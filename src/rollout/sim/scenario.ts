import type { SimCanary, StepKind } from "./canary-shape.ts";
import type { SimMesh } from "./sim-mesh.ts";

/** One rollout of a simulation. */
export interface SimRollout {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly name: string;
  readonly namespace: string;
  /** The rollout waits for changes of its Deployment. */
  readonly watched: boolean;
  readonly group?: string;
  /** The share of errors in the canary's answers. */
  readonly errorRate: number;
  readonly rollback: "Automatic" | "Manual";
  readonly onDeletion: "Rollback" | "Leave";
  readonly steps: readonly SimStep[];
  readonly createdAtTick: number;
  /** A person rolls it back after it has completed. */
  readonly abortedAfterEnd?: boolean;
  /** The namespaces that an upgrade moves. */
  readonly moves?: readonly string[];
  /** The mesh that it moves. */
  readonly mesh?: SimMesh;
  /** The application of a Canary, and what its spec names. */
  readonly canary?: SimCanary;
  /** The step in which a person writes another pod template into its Deployment. */
  readonly changedInStep?: string;
  /** A person rolls it back when this many steps are done. */
  readonly abortedAfterSteps?: number;
}

export interface SimStep {
  readonly weight?: number;
  /** What the step does besides. */
  readonly kind?: StepKind;
  readonly holdMs?: number;
  readonly untilApproved?: boolean;
}

/**
 * An action of people or a fault of machines, at one tick or until another tick. `resume`: a person takes back a pause
 * and an abort. `remake`: a pod, a node or a workload is deleted and comes back under its name. `edit`: a person
 * changes the steps. `selfHeal`: a GitOps controller puts back a field that the rollout writes. `noPods`: the server
 * refuses the new pods. `badSpec` and `noRights`: the target cannot be planned, or the author may not change it.
 * `noEngine`: the engine is scaled to 0. `vanish`: a person deletes the route, and makes it again later. `editChecks`:
 * a person changes the limits of the checks. `freezeMoves`: a freeze ends, and later has another window.
 * `otherRelease`: an engine of another release has written the status, without fields of this one, or with more.
 * `resumeApp`: a person resumes the Deployment that a Canary holds. `losePods`: the canary has no pods for a while.
 * `revertApp`: somebody sets the Deployment back to the template that runs, and applies the changed one again later, or
 * the one that the Canary has rolled back meanwhile. `unread`: the server cannot read the rollout's target or journal,
 * but writes its status. `journalFull`: the server refuses each change of the journal. `refuse`: a webhook of others
 * refuses each write of the engine to the target, also those of an undo. `rewrite`: such a webhook changes each weight
 * that the engine writes. `loseMade`: somebody deletes a workload that an upgrade has made, and installs it again
 * later. `editUpgrade`: a person changes the weights of gateways, and how ztunnels move. `endNamespace`: a person
 * deletes a namespace with all that is in it, for good. `scaleGateway`: somebody scales a gateway whose number of pods
 * an upgrade has written, and scales it back later. `noBudget`: a disruption budget allows no restart in a namespace.
 * `extend`: somebody adds a rule or a field to the route that a Canary moves, and may remove it later.
 */
export type Disturbance =
  | {
      readonly type: "abort" | "delete" | "promote" | "recreate" | "resume" | "remake" | "resumeApp";
      readonly atTick: number;
      readonly rollout: number;
    }
  | { readonly type: "edit"; readonly atTick: number; readonly rollout: number; readonly steps: readonly SimStep[] }
  | { readonly type: "change"; readonly atTick: number; readonly rollout: number; readonly template: string }
  | {
      readonly type:
        | "pause"
        | "meddle"
        | "selfHeal"
        | "noPods"
        | "badSpec"
        | "noRights"
        | "losePods"
        | "revertApp"
        | "loseMade"
        | "scaleGateway"
        | "noBudget";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
    }
  | {
      readonly type: "controlPlaneDown" | "freeze" | "apiDown" | "stopLeader" | "noEngine";
      readonly atTick: number;
      readonly untilTick: number;
    }
  | { readonly type: "clockJump"; readonly atTick: number; readonly byMs: number }
  | { readonly type: "vanish"; readonly atTick: number; readonly untilTick: number; readonly rollout: number }
  | { readonly type: "editChecks"; readonly atTick: number; readonly rollout: number; readonly minSamples: number }
  | { readonly type: "freezeMoves"; readonly atTick: number; readonly untilTick: number }
  | { readonly type: "otherRelease"; readonly atTick: number; readonly isOlder: boolean }
  | { readonly type: "endNamespace"; readonly atTick: number; readonly namespace: string }
  | {
      readonly type: "extend";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
      readonly what: Addition;
      readonly isRemoved: boolean;
    }
  | { readonly type: "editUpgrade"; readonly atTick: number; readonly rollout: number; readonly edited: EditedMesh }
  | {
      readonly type: "unread";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
      readonly what: Unread;
    }
  | {
      readonly type: "journalFull" | "refuse" | "rewrite";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
    };

/** The fields of an upgrade that a person may change while it is under way. */
export type EditedMesh = Pick<SimMesh, "weights" | "ztunnelBy" | "retire">;

export const additions = ["field", "rule at the end", "rule at the beginning"] as const;
/** What somebody adds to a route. */
export type Addition = (typeof additions)[number];

/** What the server cannot read. */
export type Unread = "journal" | "target";

/**
 * A fault that never ends by itself, so that every rollout that waits for it must report it. `silence`: a route gets no
 * more requests. `unanswered`: its counters cannot be read. `theirs`: another writer's value stays. `controlPlaneGone`:
 * no proxy learns of changes. `refused`: the server refuses what the engine writes into one object. The others are like
 * the {@link Disturbance} of the same type.
 */
export interface Lasting {
  readonly type:
    | "silence"
    | "unanswered"
    | "theirs"
    | "controlPlaneGone"
    | "refused"
    | LastingDisturbance
    | LastingFault;
  readonly atTick: number;
  readonly rollout: number;
}

export const lastingDisturbances = ["selfHeal", "noPods", "badSpec", "noRights"] as const;
export const lastingFaults = ["unreadTarget", "unreadJournal", "journalFull", "refuse"] as const;
type LastingFault = (typeof lastingFaults)[number] | "rewrite" | "noBudget";
type LastingDisturbance = (typeof lastingDisturbances)[number] | "losePods";

export interface Scenario {
  readonly seed: number;
  readonly lasting?: Lasting;
  readonly rollouts: readonly SimRollout[];
  readonly disturbances: readonly Disturbance[];
  readonly maxConcurrent: number;
  /**
   * The probability at each action of a round that the engine is killed, an answer is lost, or a stale copy is read.
   */
  readonly crashRate: number;
  readonly lostRate: number;
  readonly staleRate: number;
}

/** All disturbances have ended by this tick. */
export const calmFromTick = 200;
export const tickMs = 500;

/** The minimum number of samples of a check. */
export const minSamples = 50;

export const namespaces = ["a", "b", "c"] as const;
