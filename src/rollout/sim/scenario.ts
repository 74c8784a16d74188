import type { SimCanary, StepKind } from "./canary-shape.ts";
import type { SimMesh } from "./sim-mesh.ts";

export interface SimRollout {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly name: string;
  readonly namespace: string;
  /** Whether the rollout begins runs by itself when the template of its Deployment changes. */
  readonly watched: boolean;
  readonly group?: string;
  /** The share of errors in the canary's answers. */
  readonly errorRate: number;
  readonly rollback: "Automatic" | "Manual";
  readonly onDeletion: "Rollback" | "Leave";
  readonly steps: readonly SimStep[];
  readonly createdAtTick: number;
  /** Whether a person rolls it back after it has completed. */
  readonly abortedAfterEnd?: boolean;
  readonly moves?: readonly string[];
  readonly mesh?: SimMesh;
  /** The application of a Canary, and the options of its spec. */
  readonly canary?: SimCanary;
  /** In this step, a person writes another template into its Deployment. */
  readonly changedInStep?: string;
  /** Whether a person changes the number of its Deployment's pods. */
  readonly scaledByPerson?: boolean;
  /** Whether a person scales the stable version to 0 after the end, and up again when a status asks for its pods. */
  readonly retiresStable?: true;
  /** Whether a person changes its steps after the end, so that another run begins. */
  readonly runsAgain?: true;
  /** A person rolls it back when this many steps are done. */
  readonly abortedAfterSteps?: number;
}

export interface SimStep {
  readonly weight?: number;
  /** What the step does besides moving a weight. See {@link StepKind}. */
  readonly kind?: StepKind;
  readonly holdMs?: number;
  readonly untilApproved?: boolean;
}

/** An action of people or a fault of machines, at one tick or from one tick until another. */
export type Disturbance =
  | {
      readonly type:
        | "abort"
        | "delete"
        | "promote"
        | "recreate"
        /** A person deletes the rollout, and creates it again when it is gone. */
        | "replace"
        /** A person deletes the Deployment of a Canary, and creates it again: `kubectl replace --force`. */
        | "remakeApp"
        /** A person takes back the orders to pause and to abort. */
        | "resume"
        | "remake"
        /** A namespace that an upgrade moves is deleted, and made again with its content as before the upgrade. */
        | "remakeNamespace"
        /** All pods of a Canary's Deployments are evicted, and start again on another node. */
        | "drain"
        | "resumeApp"
        /**
         * Somebody deletes a route, or another object that a Canary has made for its routes. A person deletes the
         * Canary and creates it again when the status says so.
         */
        | "loseRoute";
      readonly atTick: number;
      readonly rollout: number;
    }
  | { readonly type: "edit"; readonly atTick: number; readonly rollout: number; readonly steps: readonly SimStep[] }
  | { readonly type: "change"; readonly atTick: number; readonly rollout: number; readonly template: string }
  | {
      readonly type:
        | "pause"
        | "meddle"
        /** A GitOps controller restores a field that the rollout writes. */
        | "selfHeal"
        /** The server refuses new pods of the target. */
        | "noPods"
        /** The rollout cannot be planned, for example because its target does not exist. */
        | "badSpec"
        /** The rollout's author may not change the target. */
        | "noRights"
        /** The canary has no pods for a while. */
        | "losePods"
        /**
         * Somebody sets the Deployment back to the template that runs. Later they apply the changed template again, or
         * the one that the Canary has rolled back meanwhile.
         */
        | "revertApp"
        /** A person scales the Deployment of a Canary, and scales it back later if the Canary has scaled it too. */
        | "scaleApp"
        /** KEDA scales the Deployment of a Canary to 0, because it has no load, and up again later. */
        | "scaleToZero"
        /** Somebody deletes a workload that an upgrade has made, and installs it again later. */
        | "loseMade"
        /** Somebody scales a gateway whose number of pods an upgrade has written, and scales it back later. */
        | "scaleGateway"
        /** Somebody removes a subset of a Canary's DestinationRules, and adds it again if it was the user's. */
        | "dropSubset"
        /** Disruption budgets allow no restart in the upgrade's namespaces. */
        | "noBudget";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
    }
  | {
      readonly type:
        | "controlPlaneDown"
        | "freeze"
        | "apiDown"
        | "stopLeader"
        /** The engine is scaled to 0. */
        | "noEngine";
      readonly atTick: number;
      readonly untilTick: number;
    }
  /**
   * Somebody restores the storage of the API server from a backup. All objects become as they were at `atTick`, and
   * proxies and pods follow them. With `isRestarted`, the engine loses its memory.
   */
  | { readonly type: "restoreEtcd"; readonly atTick: number; readonly untilTick: number; readonly isRestarted: boolean }
  | { readonly type: "clockJump"; readonly atTick: number; readonly byMs: number }
  /** A person deletes the route, and makes it again later. */
  | { readonly type: "vanish"; readonly atTick: number; readonly untilTick: number; readonly rollout: number }
  /** Somebody changes the selector of a Canary's Service (`service` is its position), and restores it later. */
  | {
      readonly type: "changeSelector";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
      readonly service: number;
    }
  | { readonly type: "editChecks"; readonly atTick: number; readonly rollout: number; readonly minSamples: number }
  | { readonly type: "loseJournal"; readonly atTick: number; readonly rollout: number; readonly isRestarted: boolean }
  /** Somebody removes an entry of the journal. A person restores the journal when the status says so. */
  | { readonly type: "editJournal"; readonly atTick: number; readonly rollout: number }
  /** A freeze ends when its window moves into the future. */
  | { readonly type: "freezeMoves"; readonly atTick: number; readonly untilTick: number }
  /** An engine of another release has written the statuses, without some fields of this release, or with more. */
  | { readonly type: "otherRelease"; readonly atTick: number; readonly isOlder: boolean }
  /** A person deletes a namespace with all that is in it, for good. */
  | { readonly type: "endNamespace"; readonly atTick: number; readonly namespace: string }
  /** Somebody adds a rule or a field to the route that a Canary moves, and may remove it later. */
  | {
      readonly type: "extend";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
      readonly what: Addition;
      readonly isRemoved: boolean;
    }
  /** A person changes the weights of gateways, or how ztunnels move. */
  | { readonly type: "editUpgrade"; readonly atTick: number; readonly rollout: number; readonly edited: EditedMesh }
  /** The server cannot read the rollout's target or journal, but can write the rollout's status. */
  | {
      readonly type: "unread";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
      readonly what: Unread;
    }
  | {
      readonly type:
        /** The server refuses each change of the journal. */
        | "journalFull"
        /** Another webhook refuses each write of the engine to the target, including those of an undo. */
        | "refuse"
        /** Another webhook changes each weight that the engine writes. */
        | "rewrite";
      readonly atTick: number;
      readonly untilTick: number;
      readonly rollout: number;
    };

/** The options of an upgrade that a person may change while it is under way. */
export type EditedMesh = Pick<SimMesh, "weights" | "ztunnelBy" | "retire">;

export const additions = ["field", "rule at the end", "rule at the beginning"] as const;
export type Addition = (typeof additions)[number];

export type Unread = "journal" | "target";

/**
 * A fault that never ends by itself, so every rollout that waits for its end must report that. The types without a
 * comment are those of a {@link Disturbance}.
 */
export interface Lasting {
  readonly type:
    /** An application gets no more requests. */
    | "silence"
    /** The counters of an application cannot be read. */
    | "unanswered"
    /** Another writer changes a field of the rollout and does not restore it. */
    | "theirs"
    /** No proxy learns of changes, because no control plane runs. */
    | "controlPlaneGone"
    /** The server refuses the engine's writes to one object. */
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
  /** The probability, at each action of a round, that the engine is killed. */
  readonly crashRate: number;
  readonly lostRate: number;
  readonly staleRate: number;
  /** The difference between the clocks of every second leader and those of the others. */
  readonly clockSkewMs?: number;
  /** The engine is killed whenever it has journaled the first writes of a step, before it has written anything. */
  readonly killedBeforeWrites?: boolean;
}

/** All disturbances have ended by this tick. */
export const calmFromTick = 200;
export const tickMs = 500;

/** The `minSamples` of every Canary's check. */
export const minSamples = 50;

export const namespaces = ["a", "b", "c"] as const;
