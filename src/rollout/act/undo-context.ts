import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { FieldEntry } from "../decide/index.ts";

/**
 * One pass of an undo over the entries of a journal. `passOver`: the undo has waited long enough for one entry, see
 * `UndoPlay`.
 */
export interface UndoPass {
  readonly entries: readonly JournalEntry[];
  readonly passOver: boolean;
}

/** What undo waits for, as a text for people. */
export interface Missing {
  readonly detail: string;
  /**
   * The detail continues the name of the entry's object, such as `: 1 of 2 ready` or ` does not exist yet`. If absent,
   * the detail is a sentence of its own.
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
   * `restartedAt`. Undefined if there are none, or if the workload is of a kind whose pods a restart does not replace.
   * `lacked`: the field of the journal's entry.
   */
  notReplaced(
    object: ObjectReference,
    restartedAt: string | undefined,
    lacked?: number,
  ): Promise<(Missing & { readonly left: number }) | undefined>;
  /** Why a recreated workload is not ready yet. Undefined if it is ready. */
  notReady(object: ObjectReference, lacked?: number): Promise<Missing | undefined>;
  /**
   * Why the control plane or ztunnel does not run yet that an operator installs from the entry's restored object.
   * Undefined if it runs.
   */
  notInstalled(entry: JournalEntry): Promise<string | undefined>;
  /**
   * Why a workload that gets the requests next cannot serve them yet: it is not ready, or proxies do not know its pods.
   * `isScaled`: undo has restored only its number of pods. A held Deployment then still counts as ready, although its
   * pods do not run its current template.
   */
  notReached(object: ObjectReference, isScaled: boolean, lacked?: number): Promise<Missing | undefined>;
  /** Proxies have not acknowledged the present destinations of requests yet. */
  notAcknowledged(object: ObjectReference): Promise<string | undefined>;
  /** Why proxies may still use a deleted route. Undefined if they do not. `isNow`: undo has just deleted the route. */
  notForgotten(object: ObjectReference, isNow: boolean): Promise<string | undefined>;
  /**
   * Why an entry must wait: a gateway or waypoint would lose pods that have no replacement yet, or pods would come back
   * without a sidecar. Undefined if the entry need not wait.
   */
  heldBack(
    entry: Extract<JournalEntry, { type: "field" }>,
    current: UntypedObject,
    found: unknown,
  ): Promise<string | undefined>;
  /**
   * Why a route's list cannot be restored yet: a version that would get more requests has no ready pod or no subset.
   * Undefined if the list can be restored now.
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
  /** Stores the uid of an object that somebody has made again, after undo has given the object new pods. */
  keepRemade(entry: FieldEntry, uid: string): Promise<void>;
  /**
   * Another rollout that wrote the field's present value after this one. Undefined if there is none. `first`: this
   * rollout's first entry of the field.
   */
  otherRollout(first: FieldEntry, found: unknown): Promise<OtherRollout | undefined>;
}

/** A rollout that has changed a field after this one. */
export interface OtherRollout {
  /** The rollout's kind and name, such as `Canary shop/web`. */
  readonly name: string;
  /** The command that undoes the other rollout. */
  readonly undo: string;
}
