import type { ObjectReference } from "../../api/serin/index.ts";

/** An object of the model with the relevant fields. */
export interface ModelObject {
  readonly reference: ObjectReference;
  readonly fields: Map<string, unknown>;
  /** The last writer of each field. */
  readonly writers: Map<string, string>;
  /** A new number for each object that gets this name. */
  readonly uid: number;
  readyAtMs: number;
  /** When its pods were started last. */
  startedAtMs: number;
  /** How many of its pods are ready before `readyAtMs`. When a Deployment grows, its former pods stay ready. */
  readyBefore?: number;
  /** The time when the pods of a Gateway's canary are ready. */
  canaryReadyAtMs?: number;
}
