import type { UntypedObject } from "../../api/index.ts";
import { type JournalEntry, type RolloutStatus, hasUndoFinalizer } from "../../api/serin/index.ts";
import { invariant, jsonEqualWithoutNulls } from "../../base/index.ts";
import { entryKey } from "../act/journal-entries.ts";
import type { StoredJournal } from "../act/journal-store.ts";
import { isRestart } from "../act/undo-order.ts";
import { UndoPlay } from "../act/undo-play.ts";
import {
  type Action,
  type Decision,
  type Refusal,
  beginsStep,
  currentStep,
  failingStatus,
  initialStatus,
  isJournalLost,
  isOwnWrite,
  isPuttingBack,
  journalCounts,
  keepsEdits,
  noticed,
  orderedSteps,
  referenceKey,
  refusedStatus,
} from "../decide/index.ts";
import { contenderOf } from "../engine/contender-table.ts";
import { entriesForPlan } from "../engine/entries-for-plan.ts";
import { needsFinalizer } from "../engine/finalizer.ts";
import { journalNameOf, journalOfContender } from "../engine/journal-name.ts";
import { entriesOfMover, moversOfPosition } from "../engine/moved-rules.ts";
import { isAtRest, lateReadRoundMs, nextRoundMs, refusedTickMs } from "../engine/next-round.ts";
import { type Plan, planRefusal, unplannedChange } from "../engine/planner.ts";
import { type Rollout, asksForRun, ordersOf } from "../engine/rollout-object.ts";
import { failedWriteOf, isTold, roundFailureOf, tellsFailure } from "../engine/round-failure.ts";
import { RoundBoard } from "../engine/round-board.ts";
import { parsed } from "./parsed-rollout.ts";
import type { SimEngineOptions } from "./sim-engine-options.ts";
import { Conflict, Killed, NotLeading, PatchRefused, Restored, Unreadable } from "./sim-errors.ts";
import type { Decided } from "./witness/decided.ts";

const maxRetryMs = 5000;

/**
 * The process of one engine. It uses the real board and the real decisions, and yields after each action on the
 * cluster.
 */
export class SimEngine {
  readonly board: RoundBoard;
  readonly id: number;
  readonly #options: SimEngineOptions;
  rounds = 0;
  /** When the next round of each rollout is due. A rollout without an entry has no round until its object changes. */
  readonly #due = new Map<string, number>();
  readonly #knownJournals = new Set<string>();
  readonly #told = new WeakSet<Error>();
  readonly #restoresBefore: number;
  /** How many rounds in a row have failed, by rollout. */
  readonly #failures = new Map<string, number>();

  constructor(options: SimEngineOptions) {
    this.#options = options;
    this.id = options.id;
    this.#restoresBefore = options.store.restores;
    this.board = new RoundBoard(options.maxConcurrent);
    for (const key of options.store.keys) {
      this.wake(key);
      const rollout = options.store.read(key);
      if (rollout === undefined) continue;
      const status = { ...initialStatus, ...rollout.status };
      this.board.table.set(contenderOf(rollout, status, { wants: [], heldUp: false }));
    }
  }

  /** Whether the storage was restored since this engine began. The engine notices that by its lease. */
  get isOutdated(): boolean {
    return this.#options.store.restores !== this.#restoresBefore;
  }

  /** Makes a round of a rollout due, at the latest in `afterMs`. */
  wake(key: string, afterMs = 0): void {
    const atMs = this.#options.now().steadyMs + afterMs;
    this.#due.set(key, Math.min(this.#due.get(key) ?? Number.POSITIVE_INFINITY, atMs));
  }

  /** Makes a round due after a failed one. As in the real queue, the delay grows with each failure. */
  retry(key: string): void {
    this.wake(key, Math.min(maxRetryMs, 2 ** (this.#failures.get(key) ?? 0)));
  }

  /** Takes the rollouts whose rounds are due. Only the result of the round, or a change, makes another one due. */
  takeDue(): string[] {
    const nowMs = this.#options.now().steadyMs;
    const due = [...this.#due].filter(([, atMs]) => atMs <= nowMs).map(([key]) => key);
    for (const key of due) this.#due.delete(key);
    return due;
  }

  /** Runs one round as the real engine does. At each `yield` the engine may be killed or stopped. */
  *round(key: string): Generator<void, void> {
    this.rounds += 1;
    const { memory } = this.board;
    try {
      yield* this.#round(key);
      memory.forgetFailedRounds(key);
      this.#failures.delete(key);
    } catch (error) {
      const isCounted = error instanceof Unreadable || (error instanceof PatchRefused && !this.#told.has(error));
      if (error instanceof Unreadable || error instanceof PatchRefused)
        this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1);
      if (isCounted && memory.rememberFailedRound(key, this.#options.now().steadyMs)) this.#tellFailure(key, error);
      throw error;
    }
  }

  *#round(key: string): Generator<void, void> {
    const { store, cluster, isStale, freezes, now } = this.#options;
    const raw = isStale() && this.board.memory.knows(key) ? store.readStale(key) : store.read(key);
    if (raw === undefined) {
      this.board.table.delete(key);
      this.board.memory.forget(key);
      return;
    }
    if (raw.metadata.uid !== undefined) this.board.memory.meet(key, raw.metadata.uid);
    // A round that reads an outdated version says nothing about the rounds before, which may have failed.
    if (this.board.memory.isSuperseded(key, raw.metadata.resourceVersion, now().steadyMs)) throw new Conflict(key);
    const status = this.board.memory.withProgress(key, { ...initialStatus, ...raw.status });
    const rollout = parsed(raw);
    const orders = ordersOf(rollout, raw as unknown as UntypedObject);
    if (isAtRest(rollout, raw, status, orders, unplannedChange(rollout).candidate)) {
      this.board.table.set(contenderOf(rollout, status, { wants: [], heldUp: false }));
      const current = noticed(status, orders.generation, this.#options.now().nowMs);
      if (current !== undefined) {
        this.#fence();
        store.writeStatus(key, raw.metadata.resourceVersion ?? "", current);
      }
      return this.#lookAgain(key, raw);
    }
    if (this.#options.isUnreadable(raw, "journal")) throw new Unreadable("the journal cannot be read");
    const journal = this.#journalOf(raw);
    yield;
    const counts = journalCounts(journal, raw.metadata.uid);
    const mustPutBack = this.board.mustPutBack({ rollout, status, orders }, counts);
    const isLost = isJournalLost(status, counts, { ...orders, mustPutBack });
    const puttingBack = isPuttingBack(status) || counts.isLeftover === true || isLost;
    const mayPlan = !puttingBack && !mustPutBack;
    const isUnread = this.#options.isUnreadable(raw, "target");
    if (isUnread && mayPlan) throw new Unreadable("the target cannot be read");
    const { refusal, plan } = this.#planOf(
      rollout,
      puttingBack || isUnread,
      entriesForPlan(rollout, status, { ...journal, counts }),
    );
    if (refusal !== undefined && mayPlan) return this.#refuse(key, raw, status, refusal);
    const { change } = plan;
    const steps = orderedSteps(plan.steps, orders, status);
    const step = currentStep(steps, status, change.watched);
    const observing =
      step !== undefined &&
      status.step?.id === step.id &&
      !orders.abort &&
      orders.deletion === undefined &&
      !puttingBack;
    const observation = observing
      ? cluster.observer.observe(step, journal.entries, new Set(status.completedSteps.map(({ id }) => id)))
      : undefined;
    yield;
    if (mustPutBack && !this.board.mustPutBack({ rollout, status, orders }, counts)) return this.wake(key, 1);
    const decision = this.board.decide(
      { key, rollout, status, orders, heldUp: false },
      { steps, change, observation, journal: counts, freezes: freezes() },
      now(),
    );
    yield* this.#carryOut({ key, rollout: raw, decision, before: status, steps }, journal.entries);
    for (const partner of this.board.table.partners(key, rollout.spec.group)) this.wake(partner);
    const nextMs = nextRoundMs(rollout, decision.status);
    if (nextMs === undefined) this.#lookAgain(key, raw);
    else this.wake(key, nextMs);
  }

  /** The journal. If somebody has deleted it, an engine that knows it writes it again. */
  #journalOf(raw: Rollout): StoredJournal {
    const { store } = this.#options;
    const name = journalNameOf(raw);
    this.#writeLostAgain(name);
    if (store.editedJournals.has(name)) throw new Unreadable("somebody has changed its entries");
    const journal = store.readJournal(name);
    if (journal.missing !== true) this.#knownJournals.add(name);
    return journal;
  }

  #writeLostAgain(name: string): void {
    const { store } = this.#options;
    if (store.journals.has(name) || !this.#knownJournals.has(name)) return;
    this.#fence();
    store.writeJournalAgain(name);
  }

  #refuse(key: string, raw: Rollout, status: RolloutStatus, refusal: Refusal): void {
    const { store } = this.#options;
    const refused = refusedStatus(status, refusal, {
      beginsRun: asksForRun(parsed(raw), status),
      generation: raw.metadata.generation ?? 0,
      nowMs: this.#options.now().nowMs,
    });
    const { phase, message, pauseReason } = refused;
    this.board.table.set(contenderOf(raw, { ...status, phase }, { wants: [], heldUp: true }));
    this.wake(key, refusedTickMs);
    const isNew = status.phase !== phase || status.message !== message || status.pauseReason !== pauseReason;
    if (!isNew && status.observedGeneration === refused.observedGeneration) return;
    this.#fence();
    store.writeStatus(key, raw.metadata.resourceVersion ?? "", refused);
    if (phase === "Stuck" && isNew) this.#tell(key, raw, { status: refused, actions: [] }, status);
  }

  #tellFailure(key: string, { message }: Error): void {
    const { store, now } = this.#options;
    const raw = store.read(key);
    if (store.leader !== this.#options.id || raw === undefined) return;
    if (raw.status?.phase === "Paused" && raw.spec.paused) return;
    const status = this.board.memory.withProgress(key, { ...initialStatus, ...raw.status });
    const rollout = parsed(raw);
    const seen = { rollout, status, orders: ordersOf(rollout, raw as unknown as UntypedObject) };
    const failing = failingStatus(status, roundFailureOf(message, seen, this.board), now().nowMs);
    this.board.table.set(contenderOf(raw, { ...status, phase: failing.phase }, { wants: [], heldUp: true }));
    if (isTold(raw.status, failing)) return;
    store.writeStatus(key, raw.metadata.resourceVersion ?? "", failing);
    this.#tell(key, raw, { status: failing, actions: [] }, status);
  }

  /** Makes a round due if this one has read an older version than the watch has now. */
  #lookAgain(key: string, { metadata }: Rollout): void {
    const nextMs = lateReadRoundMs(metadata.resourceVersion, this.#options.store.read(key)?.metadata.resourceVersion);
    if (nextMs !== undefined) this.wake(key, nextMs);
  }

  /**
   * The plan, or why it is not carried out. The plan is empty during an undo, and if the spec or its target is at
   * fault.
   */
  #planOf(
    rollout: Rollout,
    isUnplanned: boolean,
    journal: readonly JournalEntry[],
  ): { readonly refusal?: Refusal; readonly plan: Plan } {
    const unplanned: Plan = { steps: [], change: unplannedChange(rollout) };
    const refusal = this.#options.refusal(rollout);
    const refused = refusal === undefined ? {} : { refusal };
    if (isUnplanned || refusal?.reason === "spec") return { ...refused, plan: unplanned };
    try {
      const movers = moversOfPosition(rollout, rollout.status ?? {}, this.board.table.all);
      const { store } = this.#options;
      const others = movers.map((other) => entriesOfMover(other, store.readJournal(journalOfContender(other))));
      return { ...refused, plan: this.#options.plan(rollout, { journal, others }) };
    } catch (error) {
      const fault = planRefusal(error);
      if (fault === undefined) throw error;
      return { refusal: fault, plan: unplanned };
    }
  }

  #fence(): void {
    if (this.#options.store.leader !== this.#options.id) throw new NotLeading();
  }

  #tell(key: string, rollout: Rollout, decision: Decision, before: RolloutStatus): void {
    this.#options.onDecision({ key, rollout, decision, before, steps: [] });
  }

  *#carryOut(decided: Decided, journal: readonly JournalEntry[]): Generator<void, void> {
    const { key, rollout: raw, decision } = decided;
    const { store, onDecision } = this.#options;
    let version = raw.metadata.resourceVersion ?? "";
    if (beginsStep(decided.before, decision.status) && this.isOutdated) throw new Restored();
    this.#fence();
    if (needsFinalizer(decision, journal) && raw.metadata.deletionTimestamp === undefined && !hasUndoFinalizer(raw)) {
      const kept = store.setFinalizer(key, version, true);
      this.board.memory.supersede(key, version);
      version = kept;
      yield;
    }
    if (decision.actions.some((action) => action.type === "event" && action.reason === "Completed")) {
      this.#fence();
      this.#writeLostAgain(journalNameOf(raw));
      store.append(
        journalNameOf(raw),
        [],
        [{ at: "", run: decision.status.run ?? 0, decision: "Completed", message: "" }],
        raw.metadata.uid,
      );
      yield;
    }
    if (this.board.memory.isDue(key, raw.status, decision)) {
      this.#fence();
      this.board.memory.rememberStored(key);
      const written = store.writeStatus(key, version, decision.status);
      this.board.memory.supersede(key, version);
      version = written;
      onDecision(decided);
      yield;
    }
    this.board.table.stored(key);
    if (decision.actions.length > 0) {
      this.#fence();
      try {
        yield* this.#perform(key, raw, decision);
        this.board.memory.rememberDone(key, decision, this.#options.now().steadyMs);
      } catch (error) {
        if (error instanceof PatchRefused) {
          const failed = failedWriteOf("the server refuses it", decision);
          this.board.memory.rememberFailedWrite(key, failed, this.#options.now().steadyMs);
          if (decision.actions.some(tellsFailure)) this.#told.add(error);
        }
        throw error;
      }
    }
    if (decision.actions.some(({ type }) => type === "release")) {
      this.#fence();
      if (raw.metadata.deletionTimestamp !== undefined) store.strike(journalNameOf(raw), () => true);
      yield;
      this.#fence();
      if (hasUndoFinalizer(raw)) store.setFinalizer(key, version, false);
    }
  }

  *#perform(key: string, raw: Rollout, { actions, status }: Decision): Generator<void, void> {
    const { store, cluster } = this.#options;
    const name = journalNameOf(raw);
    const entries = actions.flatMap((action) => (action.type === "journal" ? action.entries : []));
    const decisions = actions.flatMap((action) =>
      action.type === "event" && action.reason !== "Completed"
        ? [{ at: "", run: status.run ?? 0, decision: action.reason, message: action.message }]
        : [],
    );
    this.#writeLostAgain(name);
    store.append(name, entries, decisions, raw.metadata.uid);
    this.#knownJournals.add(name);
    if (this.#options.isKilled(name, entries)) throw new Killed();
    yield;
    for (const action of actions) {
      this.#fence();
      if (action.type === "write") {
        const { write } = action;
        // Read again, because somebody may have changed the journal meanwhile.
        const { entries: known = [] } = store.writtenJournal(name) ?? {};
        const journaled = known.some(
          (entry) =>
            referenceKey(entry.object) === referenceKey(write.object) &&
            (write.type !== "field" || (entry.type === "field" && entry.pointer === write.pointer)),
        );
        invariant(
          isOwnWrite(write, known) || journaled,
          `${key} wrote ${write.object.name} before it was in the journal`,
        );
        cluster.write(write, action.prior);
        if (write.type === "field" && keepsEdits(write)) {
          const stored = cluster.find(write.object)?.fields.get(write.pointer);
          if (!jsonEqualWithoutNulls(stored, write.value)) {
            yield;
            this.#fence();
          }
          store.keepStored(name, write, { written: write.value, stored });
        }
        yield;
      } else if (action.type === "forget") store.forgetRun(name);
      else if (action.type === "undo") yield* this.#undo(key, name, action);
    }
  }

  *#undo(key: string, name: string, { scope, passOver }: Extract<Action, { type: "undo" }>): Generator<void, void> {
    const { store, cluster } = this.#options;
    const entries = (store.journals.get(name)?.entries ?? []).filter(
      (entry) => scope === "all" || entry.setup !== true,
    );
    const play = new UndoPlay(entries, passOver);
    for (let entry = play.next(); entry !== undefined; entry = play.next()) {
      this.#fence();
      const restored: (() => void)[] = [];
      const result = cluster.undoing.undo(entry, play.original ?? entry, {
        passOver,
        between: play.between,
        keepLater: (original, later) => store.keepLater(name, original, later),
        keepRemade: (of, uid) => restored.push(() => store.keepRemade(name, of, uid)),
        keepRestored: (of, list) => restored.push(() => store.keepRestored(name, of, list)),
      });
      if (restored.length > 0) {
        yield;
        this.#fence();
      }
      for (const keep of restored) keep();
      play.tell(result);
      if (result.state === "undone" && isRestart(entry)) this.#strike(name, [entry]);
      yield;
    }
    this.#fence();
    play.settleGone((object) => cluster.find(object) === undefined);
    this.#strike(name, play.undone);
    this.board.memory.rememberUndo(key, play.report);
  }

  #strike(name: string, entries: readonly JournalEntry[]): void {
    const keys = new Set(entries.map(entryKey));
    if (keys.size > 0) this.#options.store.strike(name, (entry) => keys.has(entryKey(entry)));
  }
}
