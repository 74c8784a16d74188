import { messageOf, type Logger } from "../../base/index.ts";
import { keyOf, type KindDefinition, type UntypedObject } from "../../api/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import { hasUndoFinalizer, type JournalEntry, type RolloutStatus } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { JournalStore } from "../act/journal-store.ts";
import type { Decision } from "../decide/index.ts";
import { addFinalizer, isPrepared, needsFinalizer, removeFinalizer } from "./finalizer.ts";
import { journalNameOf } from "./journal-name.ts";
import { kindOfRollout, type Rollout } from "./rollout-object.ts";

/**
 * Writes a rollout's own object: its status and its finalizer. Each write puts the new resourceVersion into the object
 * that it is given, so that the next write of the same round does not conflict.
 */
export class RolloutWriter {
  readonly #client: KubeClient;
  readonly #journals: JournalStore;
  readonly #log: Logger;

  constructor(client: KubeClient, journals: JournalStore, log: Logger) {
    this.#client = client;
    this.#journals = journals;
    this.#log = log;
  }

  /** Adds the finalizer before the first write that must be undone. Returns whether it has written. */
  async ensureFinalizer<Value extends Rollout>(
    kind: KindDefinition<Value>,
    object: Rollout,
    decision: Decision,
    journal: readonly JournalEntry[],
  ): Promise<boolean> {
    if (!needsFinalizer(decision, journal) || object.metadata.deletionTimestamp !== undefined || isPrepared(object))
      return false;
    object.metadata.resourceVersion = await addFinalizer(this.#client, kind as KindDefinition<Rollout>, object);
    return true;
  }

  /**
   * Removes the finalizer of a deleted object whose changes are all undone, so that the server deletes the object. Its
   * history stays.
   */
  async release<Value extends Rollout>(kind: KindDefinition<Value>, object: Rollout): Promise<void> {
    if (object.metadata.deletionTimestamp !== undefined) await this.#journals.strike(journalNameOf(object), () => true);
    if (hasUndoFinalizer(object)) await removeFinalizer(this.#client, kind as KindDefinition<Rollout>, object);
  }

  /** Replaces the whole status, so that removed fields do not stay. */
  async writeStatus<Value extends Rollout>(
    kind: KindDefinition<Value>,
    object: Rollout,
    status: RolloutStatus,
  ): Promise<void> {
    try {
      const body = { ...(object as unknown as UntypedObject), status } as unknown as Value;
      const written = await this.#client.update(kind, body, { subresource: "status", fieldManager });
      object.metadata.resourceVersion = written.metadata.resourceVersion ?? "";
      object.status = status;
    } catch (error) {
      this.#log.debug("the status could not be written, trying again", {
        rollout: `${kindOfRollout(object).kind} ${keyOf(object)}`,
        error: messageOf(error),
      });
      throw error;
    }
  }
}
