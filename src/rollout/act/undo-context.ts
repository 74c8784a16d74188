import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { FieldEntry } from "../decide/index.ts";

/**
 * One pass of an undo over the entries of a journal. `passOver`: undo has waited long enough, so it may go on with
 * later entries, see `UndoPlay`.
 */
export interface UndoPass {
  readonly entries: readonly JournalEntry[];
  readonly passOver: boolean;
}

export interface Missing {
  readonly detail: string;
  /**
   * Whether the detail continues the name of the entry's object, such as `: 1 of 2 ready` or ` does not exist yet`. If
   * absent, the detail is a sentence of its own.
   */
  readonly followsName?: true;
}

/**
 * Why an object must stay. `isEnding`: only pods that are ending need it, and they end at a known time at the latest.
 */
export interface StillServes {
  readonly detail: string;
  readonly isEnding?: boolean;
}

/**
 * Conditions of the cluster that undo checks besides the objects of the journal. Each returns why undo must wait, or
 * undefined.
 */
export interface UndoSurroundings {
  /**
   * Why an object that the rollout made must stay for now: a workload still serves requests, or a route keeps them away
   * from pods that are leaving. Undefined if undo may delete it.
   */
  stillServes(entry: JournalEntry): Promise<StillServes | undefined>;
  /**
   * The pods that a workload must still replace: those of a former template, or those that are older than
   * `restartedAt`. Undefined if there are none, or if a restart of the workload replaces no pods. `lacked`: that of the
   * journal's entry.
   */
  notReplaced(
    object: ObjectReference,
    restartedAt: string | undefined,
    lacked?: number,
  ): Promise<(Missing & { readonly left: number }) | undefined>;
  notReady(object: ObjectReference, lacked?: number): Promise<Missing | undefined>;
  /**
   * Why a control plane or ztunnel does not run yet, which an operator installs from the entry's restored object.
   * Undefined if it runs.
   */
  notInstalled(entry: JournalEntry): Promise<string | undefined>;
  /**
   * Why a workload that gets the requests next cannot serve them yet: it is not ready, or proxies do not know its pods.
   * `isScaled`: undo has restored only its number of pods. Then pods of another template count too, because a held
   * Deployment has only such pods.
   */
  notReached(object: ObjectReference, isScaled: boolean, lacked?: number): Promise<Missing | undefined>;
  /** Why undo must wait for proxies that have not yet acknowledged a restored route. Undefined if all have. */
  notAcknowledged(object: ObjectReference): Promise<string | undefined>;
  /** Why proxies may still use a deleted route. Undefined if they do not. `isNow`: undo has just deleted the route. */
  notForgotten(object: ObjectReference, isNow: boolean): Promise<string | undefined>;
  /**
   * Why an entry must wait: a gateway or waypoint would lose pods that have no replacement yet, or pods would come back
   * without a sidecar. Undefined if undo may take the entry now.
   */
  heldBack(
    entry: Extract<JournalEntry, { type: "field" }>,
    current: UntypedObject,
    found: unknown,
  ): Promise<string | undefined>;
  /**
   * Why a route's list cannot be restored yet: a version that would get more requests has no ready pod or no subset.
   * Undefined if the list may be restored now.
   */
  notServedYet(route: UntypedObject, change: ListChange): Promise<string | undefined>;
  readonly nowMs: number;
}

export interface ListChange {
  readonly object: ObjectReference;
  readonly before: unknown;
  readonly after: unknown;
}

/** The surroundings, and what undo stores in and learns from journals. */
export interface UndoContext extends UndoSurroundings {
  /** Stores the `later` value of an entry in the journal. */
  keepLater(entry: FieldEntry, later: unknown): Promise<void>;
  /**
   * Stores the value that the server made of an entry's prior value, as the new prior value of all entries of the field
   * with the former one.
   */
  keepRestored(entry: FieldEntry, restored: unknown): Promise<void>;
  /** Stores the uid of a recreated object, after undo has given it new pods. */
  keepRemade(entry: FieldEntry, uid: string): Promise<void>;
  /**
   * Another rollout that wrote the field's present value after this one. Undefined if there is none. `first`: this
   * rollout's first entry of the field.
   */
  otherRollout(first: FieldEntry, found: unknown): Promise<OtherRollout | undefined>;
}

export interface OtherRollout {
  readonly name: string;
  readonly undo: string;
}
