import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { FieldEntry } from "../decide/index.ts";

/** One pass of an undo over the entries of a journal. `passOver`: it has waited long enough, see `UndoPlay`. */
export interface UndoPass {
  readonly entries: readonly JournalEntry[];
  readonly passOver: boolean;
}

/** What undo waits for, as a text for people. */
export interface Missing {
  readonly detail: string;
  /**
   * The detail is what follows the name of the entry's object, such as `: 1 of 2 ready` or ` does not exist yet`. If
   * absent, the detail is a sentence of its own.
   */
  readonly followsName?: true;
}

/** Why an object must stay. `isEnding`: only pods that are ending need it, at most until a known time. */
export interface StillServes {
  readonly detail: string;
  readonly isEnding?: boolean;
}

/** Conditions of the cluster that undo checks besides the objects. Each returns why undo must wait, or undefined. */
export interface UndoSurroundings {
  /**
   * Why an object that the rollout made must stay for now: a workload still serves requests, or a route keeps them away
   * from pods that are leaving. Undefined if it need not stay.
   */
  stillServes(entry: JournalEntry): Promise<StillServes | undefined>;
  /**
   * The pods that a workload must still replace: those of a former template, or those that are older than
   * `restartedAt`. Undefined if there are none, or if a restart does not replace its pods. `lacked`: see the journal's
   * entry.
   */
  notReplaced(
    object: ObjectReference,
    restartedAt: string | undefined,
    lacked?: number,
  ): Promise<(Missing & { readonly left: number }) | undefined>;
  /** Why a recreated workload is not ready yet. Undefined if it is ready. */
  notReady(object: ObjectReference, lacked?: number): Promise<Missing | undefined>;
  /**
   * Why the control plane or ztunnel that an operator installs by the entry's restored object does not run yet.
   * Undefined if it runs.
   */
  notInstalled(entry: JournalEntry): Promise<string | undefined>;
  /**
   * The workload that gets the requests next is not ready yet, or proxies do not know its pods. `isScaled`: undo has
   * restored only the number of its pods. A held Deployment runs another template than it has, and its pods count.
   */
  notReached(object: ObjectReference, isScaled: boolean, lacked?: number): Promise<Missing | undefined>;
  /** Proxies have not acknowledged the present destinations of requests yet. */
  notAcknowledged(object: ObjectReference): Promise<string | undefined>;
  /**
   * Proxies may still send requests by a route that is gone. Undefined if they do not. `isNow`: undo has just deleted
   * it.
   */
  notForgotten(object: ObjectReference, isNow: boolean): Promise<string | undefined>;
  /**
   * Why an entry must wait: a gateway or waypoint would lose pods that have no replacement yet, or pods would come back
   * without a sidecar. Undefined if it need not wait.
   */
  heldBack(
    entry: Extract<JournalEntry, { type: "field" }>,
    current: UntypedObject,
    found: unknown,
  ): Promise<string | undefined>;
  /**
   * Why a route's list cannot be restored yet: a version that would get more requests has no ready pod or no subset.
   * Undefined if it can.
   */
  notServedYet(route: UntypedObject, change: ListChange): Promise<string | undefined>;
  readonly nowMs: number;
}

/** The list of a route as it is, and as the engine is about to write it. */
export interface ListChange {
  readonly object: ObjectReference;
  readonly before: unknown;
  readonly after: unknown;
}

/** What undo needs besides the objects. */
export interface UndoContext extends UndoSurroundings {
  /** Stores the `later` value of an entry in the journal. */
  keepLater(entry: FieldEntry, later: unknown): Promise<void>;
  /**
   * Replaces the prior value by the one that the server stored for it, in all entries of the field with that prior
   * value.
   */
  keepRestored(entry: FieldEntry, restored: unknown): Promise<void>;
  /** Stores the uid of the object that somebody has made again, when undo has given it new pods. */
  keepRemade(entry: FieldEntry, uid: string): Promise<void>;
  /**
   * Another rollout that has written the field's present value since. Undefined if there is none. `first`: this
   * rollout's first entry of the field.
   */
  otherRollout(first: FieldEntry, found: unknown): Promise<OtherRollout | undefined>;
}

/** A rollout that has changed a field after this one. */
export interface OtherRollout {
  /** The rollout's kind and name, such as `Canary shop/web`. */
  readonly name: string;
  /** The command that undoes it. */
  readonly undo: string;
}
