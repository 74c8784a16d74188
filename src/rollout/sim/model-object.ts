import type { ObjectReference } from "../../api/serin/index.ts";

/** An object of the model, with the fields that matter. */
export interface ModelObject {
  readonly reference: ObjectReference;
  readonly fields: Map<string, unknown>;
  /** Who wrote which field last. */
  readonly writers: Map<string, string>;
  readyAtMs: number;
  /** Of a Gateway: its canary's pods. */
  canaryReadyAtMs?: number;
}
