import { BoundedCache, firstNames, messageOf, transientError, type Clock, type Logger } from "../../base/index.ts";
import {
  notificationEvents,
  type DecisionRecord,
  type JournalEntry,
  type NotificationSpec,
  type RolloutStatus,
} from "../../api/serin/index.ts";
import type { EventRecorder } from "../../kube/index.ts";
import { entryKey } from "../act/journal-entries.ts";
import type { JournalStore } from "../act/journal-store.ts";
import { notificationEventOf, type Notifier } from "../act/notifier.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import { performWrite } from "../act/perform-write.ts";
import type { UndoContext, UndoPass, UndoSurroundings } from "../act/undo-context.ts";
import { undoEntry } from "../act/undo-entry.ts";
import { isRestart } from "../act/undo-order.ts";
import { UndoPlay } from "../act/undo-play.ts";
import {
  describeReference,
  keepsEdits,
  referenceKey,
  type Action,
  type Decision,
  type RolloutEvent,
  type UndoReport,
} from "../decide/index.ts";
import type { EngineMetrics } from "./engine-metrics.ts";
import { journalNameOf } from "./journal-name.ts";
import { entriesOfHold, heldDeployment, kindOfRollout, rolloutKey, type Rollout } from "./rollout-object.ts";

export interface ActionsOptions {
  readonly objects: ObjectAccess;
  readonly journals: JournalStore;
  readonly events: EventRecorder;
  readonly notifier: Notifier;
  readonly metrics: EngineMetrics;
  readonly surroundings: (pass: UndoPass) => UndoSurroundings;
  readonly mayWrite: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const namesShown = 10;
/** The maximum number of journals whose decisions wait to be stored, and of decisions for each of them. */
const maxUnstoredJournals = 256;
const maxUnstored = 64;

/**
 * Performs the decided actions: first the events and the history, then the writes in order. Each action may be
 * interrupted at any point, and is then repeated.
 */
export class Actions {
  readonly #options: ActionsOptions;
  /**
   * The decisions that the server has not stored in the journal yet, by journal. The status of these decisions is
   * stored, so later rounds do not repeat them.
   */
  readonly #unstored = new BoundedCache<string, readonly DecisionRecord[]>(maxUnstoredJournals);

  constructor(options: ActionsOptions) {
    this.#options = options;
  }

  /** Stores the decisions that an earlier round could not store. Never throws: a later round stores them too. */
  async storeDecisions(rollout: Rollout): Promise<void> {
    const name = journalNameOf(rollout);
    if (!this.#unstored.has(name)) return;
    try {
      this.fence();
      await this.#append(rollout, [], []);
    } catch (error) {
      this.#options.log.debug("decisions could not be stored, trying again", {
        rollout: rolloutKey(rollout),
        error: messageOf(error),
      });
    }
  }

  /** Adds entries and records to the rollout's journal, together with the decisions that could not be stored before. */
  async #append(rollout: Rollout, entries: readonly JournalEntry[], records: readonly DecisionRecord[]): Promise<void> {
    const { journals } = this.#options;
    const name = journalNameOf(rollout);
    const before = this.#unstored.get(name);
    const all = [...(before ?? []), ...records].slice(-maxUnstored);
    if (all.length > 0) this.#unstored.set(name, all);
    // The answer to an earlier write may have been lost, although the server has stored it.
    const known = new Set(before === undefined ? [] : (await journals.read(name)).decisions.map(identityOf));
    await journals.append(
      name,
      entries,
      all.filter((record) => !known.has(identityOf(record))),
      rollout.metadata.uid,
    );
    this.#unstored.delete(name);
  }

  /** Throws unless this engine leads. A process that was suspended must not continue to write afterwards. */
  fence(): void {
    if (!this.#options.mayWrite())
      throw transientError("not-leading", "this engine may have lost its lease, so it writes nothing");
  }

  /**
   * Records a completed run in its journal before its status is stored. Otherwise a crash between the two could cause
   * an undo of the completed run.
   */
  async recordCompletion(rollout: Rollout, { actions, status }: Decision): Promise<void> {
    const completed = actions.find((action) => action.type === "event" && action.reason === "Completed");
    if (completed?.type !== "event") return;
    const name = journalNameOf(rollout);
    // The record of the end must stay the run's last decision in the journal, so the waiting decisions go first.
    if (this.#unstored.has(name)) await this.#append(rollout, [], []);
    const last = (await this.#options.journals.read(name)).decisions.at(-1);
    if (last?.decision !== "Completed")
      await this.#options.journals.append(name, [], [this.#record(completed, status.run ?? 0)], rollout.metadata.uid);
  }

  /**
   * Writes a missing journal of a held Deployment, because somebody may delete a Canary that was restored from a backup
   * before it has begun. With the journal, the deletion waits until the hold is undone. Returns whether it has written
   * one.
   */
  async journalLostHold(rollout: Rollout): Promise<boolean> {
    const { journals, objects } = this.#options;
    const object = heldDeployment(rollout);
    const found = object === undefined ? undefined : await objects.get(object);
    if (object === undefined || found === undefined || found.metadata.deletionTimestamp !== undefined) return false;
    const entries = entriesOfHold(rollout, object, found);
    if (entries.length === 0) return false;
    this.fence();
    await journals.append(journalNameOf(rollout), entries, [], rollout.metadata.uid);
    return true;
  }

  /** Returns the result of an undo, if there was one. */
  async perform(rollout: Rollout, { actions, status }: Decision): Promise<UndoReport | undefined> {
    const { journals } = this.#options;
    const name = journalNameOf(rollout);
    const events = actions.filter((action) => action.type === "event");
    const entries = actions.flatMap((action) => (action.type === "journal" ? action.entries : []));
    this.fence();
    // Report the events first. The stored status already says the same, so the next round would not report them again
    // if the journal fails.
    for (const event of events) this.#tell(rollout, event, status);
    await this.#append(
      rollout,
      entries,
      events.filter(({ reason }) => reason !== "Completed").map((event) => this.#record(event, status.run ?? 0)),
    );
    let report: UndoReport | undefined;
    for (const action of actions) {
      this.fence();
      if (action.type === "write") await this.#write(name, action);
      else if (action.type === "forget") await journals.forgetRun(name);
      else if (action.type === "undo") report = await this.#undo(rollout, name, action, status.run ?? 0);
    }
    return report;
  }

  async #write(name: string, { write, prior }: Extract<Action, { type: "write" }>): Promise<void> {
    const { journals, objects } = this.#options;
    const stored = await performWrite(objects, write, prior);
    if (write.type === "field" && keepsEdits(write) && stored !== undefined)
      await journals.keepStored(name, write, { written: write.value, stored });
  }

  /** One pass over the journal. Undone entries are removed from it. */
  async #undo(
    rollout: Rollout,
    name: string,
    { scope, passOver }: Extract<Action, { type: "undo" }>,
    run: number,
  ): Promise<UndoReport> {
    const { journals, objects, surroundings } = this.#options;
    const entries = (await journals.read(name)).entries.filter((entry) => scope === "all" || entry.setup !== true);
    const play = new UndoPlay(entries, passOver);
    const kept: Omit<UndoContext, keyof UndoSurroundings> = {
      keepLater: async (entry, later) => await journals.keepLater(name, entry, later),
      keepRestored: async (entry, restored) => await journals.replacePrior(name, entry, restored),
      keepRemade: async (entry, uid) => await journals.keepRemade(name, entry, uid),
      otherRollout: async (entry, found) => await journals.otherRollout(name, entry, found),
    };
    try {
      for (let entry = play.next(); entry !== undefined; entry = play.next()) {
        this.fence();
        const result = await undoEntry(
          objects,
          entry,
          { ...surroundings({ entries, passOver }), ...kept },
          play.original,
          play.between,
        );
        play.tell(result);
        // Remove the entry of a restart from the journal at once, so that pods restart only once even if this pass does
        // not finish.
        if (result.state === "undone" && isRestart(entry)) await this.#strike(name, [entry]);
      }
    } finally {
      await this.#settleGone(play);
      await this.#strike(name, play.undone);
    }
    if (play.undone.length > 0) await this.#recordUndone(rollout, play.undone, run);
    return play.report;
  }

  /** Reads the objects again that the pass found to be gone, because somebody may have made them again since then. */
  async #settleGone(play: UndoPlay): Promise<void> {
    const back = new Set<string>();
    for (const [key, [entry]] of Map.groupBy(play.gone, ({ object }) => referenceKey(object)))
      if (entry !== undefined && (await this.#options.objects.get(entry.object)) !== undefined) back.add(key);
    play.settleGone((object) => !back.has(referenceKey(object)));
  }

  async #strike(name: string, entries: readonly JournalEntry[]): Promise<void> {
    const keys = new Set(entries.map(entryKey));
    if (keys.size > 0) await this.#options.journals.strike(name, (entry) => keys.has(entryKey(entry)));
  }

  async #recordUndone(rollout: Rollout, undone: readonly JournalEntry[], run: number): Promise<void> {
    const message = `undone: ${firstNames(undone.map(described), namesShown)}`;
    const event: RolloutEvent = { type: "event", reason: "Undone", message, warning: false };
    await this.#append(rollout, [], [this.#record(event, run)]);
    this.#tell(rollout, event, {});
  }

  #record({ reason, message, step, by, evidence }: RolloutEvent, run: number): DecisionRecord {
    return {
      at: new Date(this.#options.clock.nowMs()).toISOString(),
      run,
      decision: reason,
      message,
      ...(step === undefined ? {} : { step }),
      ...(by === undefined ? {} : { by }),
      ...(evidence === undefined || evidence.length === 0 ? {} : { evidence }),
    };
  }

  #tell(
    rollout: Rollout,
    { reason, message, warning, step = "", by }: RolloutEvent,
    { cause = "", undo }: Pick<RolloutStatus, "cause" | "undo">,
  ): void {
    const { events, notifier, metrics, clock, log } = this.#options;
    const kind = kindOfRollout(rollout);
    const text = by === undefined ? message : `${message} (by ${by})`;
    log.info(text, { rollout: rolloutKey(rollout), reason });
    metrics.decision(kind.kind, reason, undo);
    events.record(kind, rollout, { type: warning ? "Warning" : "Normal", reason, message: text });
    const event = notificationEventOf(reason);
    const { name = "", namespace = "" } = rollout.metadata;
    if (event !== undefined)
      notifier.notify(notificationsOf(rollout), {
        event,
        kind: kind.kind,
        namespace,
        name,
        step,
        message: text,
        cause,
        at: new Date(clock.nowMs()).toISOString(),
      });
  }
}

/** The identity of a record, without its message: the stored record may have a shortened one. */
function identityOf({ at, decision, step }: DecisionRecord): string {
  return JSON.stringify([at, decision, step]);
}

/** The valid notifications of a spec that the parser refuses because of other fields. */
function notificationsOf({ spec }: Rollout): readonly NotificationSpec[] {
  const { notifications } = (spec ?? {}) as { readonly notifications?: unknown };
  if (!Array.isArray(notifications)) return [];
  return notifications.flatMap((notification: Partial<NotificationSpec> | null) =>
    typeof notification?.url === "string"
      ? [
          {
            url: notification.url,
            events: Array.isArray(notification.events) ? notification.events : notificationEvents,
          },
        ]
      : [],
  );
}

function described(entry: JournalEntry): string {
  return entry.type === "field"
    ? `${describeReference(entry.object)} ${entry.pointer}`
    : `${describeReference(entry.object)} (${entry.type})`;
}
