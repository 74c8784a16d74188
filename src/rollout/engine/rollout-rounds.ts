import { messageOf, SerinError, threadCpuTimeMs, transientError, type Clock, type Logger } from "../../base/index.ts";
import type { KindDefinition, UntypedObject } from "../../api/index.ts";
import type { Freeze, JournaledObjects, JournalEntry, MeshUpgrade, RolloutStatus } from "../../api/serin/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import type { AuthorRights, RightsRefusal } from "../access/index.ts";
import { changedJournal, type JournalStore, type StoredJournal } from "../act/journal-store.ts";
import { replacementOfEntries } from "../act/journal-sum.ts";
import {
  beginsStep,
  currentStep,
  failingStatus,
  initialStatus,
  isDone,
  isJournalLost,
  isPuttingBack,
  isUnbegunCopy,
  journalCounts,
  noticed,
  orderedSteps,
  refusedStatus,
  saysTheSame,
  type Action,
  type Decision,
  type FailedWrite,
  type GroupView,
  type JournalCounts,
  type Observation,
  type Refusal,
  type RolloutOrders,
  type Step,
  sinceSettledMs,
} from "../decide/index.ts";
import type { CheckOrigin } from "../observe/checks/check-observer.ts";
import { TimeShares } from "../shares/time-shares.ts";
import type { LostMove, LostValues } from "../observe/lost-journal/lost-values.ts";
import type { Observer } from "../observe/observer.ts";
import type { Actions } from "./actions.ts";
import { companionsOf, withinReach } from "./author-reach.ts";
import { contenderOf } from "./contender-table.ts";
import { entriesForPlan } from "./entries-for-plan.ts";
import type { EngineMetrics } from "./engine-metrics.ts";
import { isAtRest, lateReadRoundMs, nextRoundMs, refusedTickMs, restAfterMs } from "./next-round.ts";
import type { OrphanedJournals } from "./orphaned-journals.ts";
import { moversOfPosition } from "./moved-rules.ts";
import { planRefusal, unplannedChange, type Plan, type Planner } from "./planner.ts";
import { journalNameOf, journalOfContender } from "./journal-name.ts";
import {
  asksForRun,
  groupName,
  isMeshUpgrade,
  isWatched,
  kindOfRollout,
  copiedUid,
  ordersOf,
  ordersOfRefused,
  parseRollout,
  strayProblem,
  type Rollout,
} from "./rollout-object.ts";
import { asksToPutBack, type RoundBoard } from "./round-board.ts";
import { RolloutWriter } from "./rollout-writer.ts";

/** What rounds use of the engine. */
export interface RoundServices {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly journals: JournalStore;
  readonly observer: Observer;
  readonly planner: Planner;
  readonly actions: Actions;
  readonly metrics: EngineMetrics;
  readonly board: RoundBoard;
  readonly orphans: OrphanedJournals;
  /** What the objects of a lost journal show. */
  readonly lostValues: (lost: JournaledObjects, move: LostMove) => Promise<LostValues>;
  /** Whether the API server confirms that this engine leads, and that it knows what the server has stored. */
  readonly confirmsLead: () => Promise<boolean>;
  /** The rights that a rollout must have. If undefined, the engine's own rights suffice. */
  readonly rights: AuthorRights | undefined;
  /** The freezes. Undefined if the server has not listed them yet. */
  readonly freezes: () => readonly Freeze[] | undefined;
  /** The object as the informers know it, which may be stale. */
  readonly watched: (kind: string, key: string) => Rollout | undefined;
  /** Requests a round of another rollout. */
  readonly wake: (key: string) => void;
  /** The processor time of this thread so far. Absent means as the system counts it. */
  readonly busyMs?: () => number;
}

const atOnceMs = 1;

/** A rollout as one round has read it. */
interface SeenRollout {
  readonly key: string;
  readonly raw: Rollout;
  /** The parsed object, or the stored one if the parser refuses it. */
  readonly rollout: Rollout;
  readonly status: RolloutStatus;
  readonly orders: RolloutOrders;
  /** The fault of the spec. */
  readonly problem: string | undefined;
}

/** A rollout with the members of its group that count for it. */
interface Round extends SeenRollout {
  /** See {@link companionsOf}. */
  readonly companions: ReadonlySet<string> | undefined;
  /** The group as it is at the beginning of the round. */
  readonly group: GroupView | undefined;
}

/** The rounds of all rollouts. A round reads one rollout, observes it, decides, stores the decision and acts. */
export class RolloutRounds {
  readonly #services: RoundServices;
  readonly #writer: RolloutWriter;
  /** The failures of writes that the next round will report in the status. */
  readonly #told = new WeakSet<Error>();
  /** For the decisions about a namespace's Canaries, of which each evaluates its author's conditions. */
  readonly #shares: TimeShares;

  constructor(services: RoundServices) {
    this.#services = services;
    this.#writer = new RolloutWriter(services.client, services.journals, services.log);
    this.#shares = new TimeShares(services.clock);
  }

  /**
   * Runs one round. Returns when the next one is due, or undefined if only a change of the object matters. If rounds
   * keep failing although the server answers with the object, the status says why.
   */
  async run<Value extends Rollout>(kind: KindDefinition<Value>, key: string, name: string): Promise<number | void> {
    const { memory } = this.#services.board;
    let isRead = false;
    try {
      // The status decides what is already done, so read it from the server and not from a cache, which may be stale.
      const raw = await this.#read(kind, name);
      isRead = true;
      if (raw?.metadata.uid !== undefined) memory.meet(key, raw.metadata.uid);
      if (raw !== undefined) await this.#services.actions.storeDecisions(raw);
      const nextMs = await this.#runOn(kind, key, name, raw);
      memory.forgetFailedRounds(key);
      return nextMs;
    } catch (error) {
      if (!isRead) memory.forgetFailedRounds(key);
      const isCounted = isRead && error instanceof Error && !isRace(error) && !this.#told.has(error);
      if (isCounted && memory.rememberFailedRound(key, this.#services.clock.steadyMs()))
        await this.#tellFailure(kind, key, name, error).catch((untold: unknown) =>
          this.#services.log.warn("a rollout's status cannot say why its rounds fail", {
            rollout: key,
            error: messageOf(untold),
          }),
        );
      throw error;
    }
  }

  async #read<Value extends Rollout>(kind: KindDefinition<Value>, name: string): Promise<Value | undefined> {
    const [first = "", second] = name.split("/");
    return await this.#services.client.get(kind, second ?? first, second === undefined ? undefined : first);
  }

  async #runOn<Value extends Rollout>(
    kind: KindDefinition<Value>,
    key: string,
    name: string,
    raw: Value | undefined,
  ): Promise<number | void> {
    const [first = "", second] = name.split("/");
    if (raw === undefined) {
      this.#gone(key, kind.kind, second === undefined ? "" : first, second ?? first);
      const metadata = second === undefined ? { name: first } : { namespace: first, name: second };
      return await this.#services.orphans.lookAt(journalNameOf({ kind: kind.kind, metadata }));
    }
    // A stale copy would show others an earlier state of this rollout.
    if (this.#services.board.memory.isSuperseded(key, raw.metadata.resourceVersion, this.#services.clock.steadyMs()))
      throw transientError("read-late", `${key}: the server answered with a version that this engine has replaced`);
    const seen = this.#roundOf(key, raw);
    const companions = await this.#companionsOf(seen);
    const round = { ...seen, companions, group: this.#services.board.groupOf({ ...seen, companions }) };
    if (round.problem !== undefined && !asksToPutBack(round))
      return await this.#refuse(kind, round, refusedSpec(round.problem));
    const nextMs = this.#isAtRest(round) ? await this.#rest(kind, round) : await this.#advance(kind, round);
    return (
      nextMs ??
      lateReadRoundMs(raw.metadata.resourceVersion, this.#services.watched(kind.kind, name)?.metadata.resourceVersion)
    );
  }

  /** An undo does not wait for the rights of others. */
  async #companionsOf(seen: SeenRollout): Promise<ReadonlySet<string> | undefined> {
    const { board, rights, watched } = this.#services;
    try {
      return await companionsOf(seen.raw, { rights, all: board.table.all, watched });
    } catch (error) {
      const none = new Set<string>();
      if (board.mustPutBack({ ...seen, companions: none })) return none;
      throw error;
    }
  }

  /** Writes into the status why the rollout cannot continue. Throws if this write fails too. */
  async #tellFailure<Value extends Rollout>(
    kind: KindDefinition<Value>,
    key: string,
    name: string,
    error: Error,
  ): Promise<void> {
    const { actions, board, clock } = this.#services;
    actions.fence();
    const raw = await this.#read(kind, name);
    // A person must resume it first.
    if (raw === undefined || (raw.status?.phase === "Paused" && raw.spec?.paused === true)) return;
    const { rollout, problem, status, orders } = this.#roundOf(key, raw);
    const failure = {
      detail: messageOf(error),
      undo: orders.commands.undo,
      generation: orders.generation,
      beginsRun: problem === undefined && asksForRun(rollout, status),
    };
    const failing = failingStatus(status, failure, clock.nowMs());
    board.table.set(contenderOf(raw, { ...status, phase: failing.phase }, { wants: [], heldUp: true }));
    this.#show(key, failing.phase);
    if (isTold(raw.status, failing)) return;
    const isNew = failing.phase === "Stuck" && raw.status?.phase !== "Stuck";
    await this.#writer.writeStatus(kind, raw, failing);
    if (!isNew) return;
    await actions.perform(raw, {
      status: failing,
      actions: [{ type: "event", reason: "Stuck", message: failing.message, warning: true }],
    });
  }

  #gone(key: string, kind: string, namespace: string, name: string): void {
    this.#services.board.table.delete(key);
    this.#services.board.memory.forget(key);
    this.#services.metrics.gone(kind, namespace, name);
  }

  #roundOf(key: string, raw: Rollout): SeenRollout {
    const parsed = parseRollout(raw);
    const status = this.#services.board.memory.withProgress(key, { ...initialStatus, ...raw.status });
    if ("problem" in parsed)
      return { key, raw, rollout: raw, status, orders: ordersOfRefused(raw), problem: parsed.problem };
    return {
      key,
      raw,
      rollout: parsed.rollout,
      status,
      orders: ordersOf(parsed.rollout, raw as unknown as UntypedObject),
      problem: strayProblem(parsed.rollout, raw as unknown as UntypedObject, status),
    };
  }

  #isAtRest({ rollout, raw, status, orders, problem }: SeenRollout): boolean {
    return problem === undefined && isAtRest(rollout, raw, status, orders, unplannedChange(rollout).candidate);
  }

  async #rest<Value extends Rollout>(
    kind: KindDefinition<Value>,
    { key, raw, rollout, status, orders }: Round,
  ): Promise<undefined> {
    this.#services.board.table.set(contenderOf(rollout, status, { wants: [], heldUp: false }));
    this.#show(key, status.phase);
    const current = noticed(status, orders.generation, this.#services.clock.nowMs());
    if (current === undefined) return;
    this.#services.actions.fence();
    await this.#writer.writeStatus(kind, raw, current);
  }

  async #advance<Value extends Rollout>(kind: KindDefinition<Value>, round: Round): Promise<number | void> {
    const { key, raw, rollout, status, orders } = round;
    const { board, clock } = this.#services;
    const begunMs = clock.steadyMs();
    const { namespace } = rollout.metadata;
    const waitMs = namespace === undefined || asksToPutBack(round) ? 0 : this.#shares.waitMs(namespace);
    if (waitMs > 0) return waitMs;
    const journal = await this.#journalOf(raw);
    const isUnbegun = isUnbegunCopy(orders, status);
    const counts = journalCounts(journal, raw.metadata.uid, isUnbegun ? undefined : copiedUid(raw));
    // An undo needs neither a plan nor a right.
    const mustPutBack = asksToPutBack(round, counts);
    const isLost = isJournalLost(status, journal, { ...orders, mustPutBack });
    if ((isUnbegun || orders.deletion !== undefined) && !isLost && journal.entries.length === 0)
      if (await this.#services.actions.journalLostHold(rollout)) return atOnceMs;
    // Nothing of the object itself is written in this round.
    const isWaiting = counts.isLeftover === true || isUnbegun || isLost;
    const planned = isWaiting ? unplanned(round) : await this.#plan(round, mustPutBack, { ...journal, counts });
    if ("problem" in planned) return await this.#refuse(kind, round, planned);
    const steps = await withinReach(raw, orderedSteps(planned.steps, orders, status), this.#services);
    const refused = isWaiting || mustPutBack ? undefined : await this.#notAllowed(round, steps);
    if (refused !== undefined) return await this.#refuse(kind, round, { ...refused, reason: "author" });
    const step = currentStep(steps, status, planned.change.watched);
    const observation = await this.#observe(round, step, journal.entries);
    const derived = isLost ? await this.#derived(round) : undefined;
    // The reason for the undo may have gone meanwhile, with another member of the group. This round has no plan, so no
    // step would seem to be left, and it has not checked the author's rights.
    if (mustPutBack && !board.mustPutBack(round, counts)) return atOnceMs;
    // Processor time, so that a busy machine makes no rollout wait.
    const busyMs = this.#services.busyMs ?? threadCpuTimeMs;
    const decidedFromMs = busyMs();
    // This must not await. So if two rollouts want the same namespace or target, the second one sees that the first one
    // has it.
    const decision = board.decide(
      { key, rollout, status, orders, heldUp: round.problem !== undefined, companions: round.companions },
      {
        steps,
        change: planned.change,
        observation,
        journal: counts,
        freezes: this.#services.freezes(),
        ...(derived === undefined ? {} : { derived }),
      },
      { steadyMs: clock.steadyMs(), nowMs: clock.nowMs() },
    );
    if (namespace !== undefined) this.#shares.spent(namespace, busyMs() - decidedFromMs);
    await this.#carryOut(kind, round, decision, journal.entries);
    this.#services.metrics.verdicts(raw.status?.step, decision.status.step);
    return restAfterMs(nextRoundMs(rollout, decision.status), clock.steadyMs() - begunMs);
  }

  /**
   * The journal. If somebody has deleted it, this engine writes it again from its memory. Throws a user error if
   * somebody has put an older one in its place.
   */
  async #journalOf(raw: Rollout): Promise<StoredJournal> {
    const { journals, actions } = this.#services;
    const name = journalNameOf(raw);
    const journal = await journals.read(name);
    const replaced = replacementOfEntries(journal, raw.status?.journaled?.sum);
    if (replaced !== undefined) throw changedJournal(name, replaced);
    if (journal.missing !== true || raw.status === undefined) return journal;
    actions.fence();
    await journals.writeAgain(name, raw.metadata.uid);
    return await journals.read(name);
  }

  /**
   * Stores the entries that the objects of a lost journal show, once the status says that it is lost. Without its prior
   * template, the target of a watched Canary cannot be given back in part: its routes need what the run has made. Then
   * nothing is derived.
   */
  async #derived({
    raw,
    rollout,
    problem,
    status: { lostJournal },
  }: Round): Promise<Pick<LostValues, "back" | "left"> | undefined> {
    if (lostJournal === undefined || lostJournal.left !== undefined) return undefined;
    const move = await this.#lostMove(rollout, problem);
    if (move === undefined) return undefined;
    const { entries, back, left } = await this.#services.lostValues(lostJournal, move);
    this.#services.actions.fence();
    await this.#services.journals.append(journalNameOf(raw), entries, [], raw.metadata.uid);
    return { back, left };
  }

  /** What the spec says about the changes of a rollout whose journal is lost. Undefined if nothing can be derived. */
  async #lostMove(rollout: Rollout, problem: SeenRollout["problem"]): Promise<LostMove | undefined> {
    if (isMeshUpgrade(rollout)) {
      const { from, to } = (rollout.spec ?? {}) as Partial<MeshUpgrade["spec"]>;
      return from === undefined || to === undefined ? {} : { from: from.revision, to: to.revision };
    }
    if (!isWatched(rollout)) return {};
    return problem === undefined ? await this.#services.planner.lostRun(rollout) : undefined;
  }

  /** Looks at the current step. Does not observe a step that has not begun, or whose rollout is being undone. */
  async #observe(
    round: Round,
    step: Step | undefined,
    journal: readonly JournalEntry[],
  ): Promise<Observation | undefined> {
    const { status, orders } = round;
    if (step === undefined || status.step?.id !== step.id) return undefined;
    if (orders.abort || orders.deletion !== undefined || isPuttingBack(status)) return undefined;
    return await this.#services.observer.observe(step, journal, originOf(round, this.#services.clock.nowMs()), {
      hasSettled: status.step.settledAt !== undefined,
      settlingMs: status.step.settlingMs ?? 0,
      doneSteps: new Set(status.completedSteps.map(({ id }) => id)),
      passed: new Set(status.step.checks.filter(({ verdict }) => verdict === "pass").map(({ type }) => type)),
    });
  }

  /** Why the author may not do the remaining steps. */
  async #notAllowed({ raw, status }: Round, steps: readonly Step[]): Promise<RightsRefusal | undefined> {
    if (this.#services.rights === undefined) return undefined;
    const open = steps.filter((step) => !isDone(step, status));
    return await this.#services.rights.refusal(
      { ...(raw as unknown as UntypedObject), kind: kindOfRollout(raw).kind },
      open,
    );
  }

  /**
   * Stores the decision and then carries it out. After a crash between the two, the actions are repeated and not lost.
   */
  async #carryOut<Value extends Rollout>(
    kind: KindDefinition<Value>,
    { key, raw, rollout, status }: Round,
    decision: Decision,
    journal: readonly JournalEntry[],
  ): Promise<void> {
    // A step begins only if the other rollouts are as this engine remembers them, and not as in a restored backup.
    if (beginsStep(status, decision.status) && !(await this.#services.confirmsLead()))
      throw transientError("not-leading", "this engine may have lost its lease, so it begins no step");
    this.#services.actions.fence();
    const { resourceVersion: readVersion = "" } = raw.metadata;
    if (await this.#writer.ensureFinalizer(kind, raw, decision, journal))
      this.#services.board.memory.supersede(key, readVersion);
    await this.#services.actions.recordCompletion(rollout, decision);
    if (this.#services.board.memory.isDue(key, raw.status, decision)) {
      const { resourceVersion = "" } = raw.metadata;
      // Remembered before the write, because the response to a successful write may be lost.
      this.#services.board.memory.rememberStored(key);
      await this.#writer.writeStatus(kind, raw, decision.status);
      if (raw.metadata.resourceVersion !== resourceVersion) this.#services.board.memory.supersede(key, resourceVersion);
    }
    this.#services.board.table.stored(key);
    if (decision.actions.length > 0) {
      try {
        const report = await this.#services.actions.perform(rollout, decision);
        this.#services.board.memory.rememberUndo(key, report);
        this.#services.board.memory.rememberDone(key, decision, this.#services.clock.steadyMs());
      } catch (error) {
        if (!isRace(error))
          this.#services.board.memory.rememberFailedWrite(
            key,
            failedWriteOf(messageOf(error), decision),
            this.#services.clock.steadyMs(),
          );
        if (error instanceof Error && decision.actions.some(tellsFailure)) this.#told.add(error);
        throw error;
      }
    }
    if (decision.actions.some(({ type }) => type === "release")) {
      this.#services.actions.fence();
      await this.#writer.release(kind, raw);
    }
    this.#show(key, decision.status.phase);
    for (const partner of this.#services.board.table.partners(key, groupName(rollout))) this.#services.wake(partner);
  }

  /** The plan, or why the spec cannot be planned. An undo needs no plan. */
  async #plan(
    round: Round,
    mustPutBack: boolean,
    journal: { readonly entries: readonly JournalEntry[]; readonly counts: JournalCounts },
  ): Promise<Plan | Refusal> {
    const { rollout, problem, status } = round;
    if (problem !== undefined || isPuttingBack(status)) return unplanned(round);
    try {
      const { board, journals, planner } = this.#services;
      const movers = () => moversOfPosition(rollout, status, board.table.all);
      return await planner.plan(rollout, entriesForPlan(rollout, status, journal), async () =>
        Promise.all(movers().map(async (other) => (await journals.read(journalOfContender(other))).entries)),
      );
    } catch (error) {
      // An undo must not wait until the cluster can be read for a plan.
      if (mustPutBack) return unplanned(round);
      const refusal = planRefusal(error);
      if (refusal === undefined) throw error;
      return refusal;
    }
  }

  /**
   * A spec that cannot be executed stops the rollout until somebody corrects it. Then the rollout continues where it
   * was.
   */
  async #refuse<Value extends Rollout>(
    kind: KindDefinition<Value>,
    { key, raw, rollout, status, problem }: Round,
    refusal: Refusal,
  ): Promise<number> {
    const refused = refusedStatus(status, refusal, {
      beginsRun: problem === undefined && asksForRun(rollout, status),
      generation: raw.metadata.generation ?? 0,
      nowMs: this.#services.clock.nowMs(),
    });
    const { phase, message, pauseReason } = refused;
    // It keeps what it holds until it continues or is undone.
    this.#services.board.table.set(contenderOf(raw, { ...status, phase }, { wants: [], heldUp: true }));
    this.#show(key, phase);
    const isNew = status.phase !== phase || status.message !== message || status.pauseReason !== pauseReason;
    if (isNew || status.observedGeneration !== refused.observedGeneration) {
      this.#services.actions.fence();
      await this.#writer.writeStatus(kind, raw, refused);
      if (phase === "Stuck" && isNew)
        await this.#services.actions.perform(raw, {
          status: refused,
          actions: [{ type: "event", reason: "Stuck", message, warning: true }],
        });
    }
    return refusedTickMs;
  }

  #show(key: string, phase: RolloutStatus["phase"]): void {
    const [kind = "", name = ""] = key.split(" ");
    const [first = "", second] = name.split("/");
    this.#services.metrics.phase(kind, second === undefined ? "" : first, second ?? first, phase);
  }
}

/** Whether the decision of the next round reports a failure of this action. */
export function tellsFailure({ type }: Action): boolean {
  return type === "write" || type === "journal" || type === "undo" || type === "forget";
}

/** The failure of a decision's actions, as the next decision sees it. */
export function failedWriteOf(detail: string, { actions }: Decision): Omit<FailedWrite, "waits"> {
  const changesMore = actions.some(({ type }) => type === "write" || type === "journal" || type === "undo");
  return !changesMore && actions.some(({ type }) => type === "forget") ? { detail, clearsJournal: true } : { detail };
}

/** Whether the stored status says the same about the failures of rounds. */
export function isTold(stored: RolloutStatus | undefined, failing: RolloutStatus): boolean {
  return (
    stored?.phase === failing.phase &&
    stored.observedGeneration === failing.observedGeneration &&
    saysTheSame(stored.message, failing.message)
  );
}

function refusedSpec(problem: string): Refusal {
  return { reason: "spec", problem, remedy: "correct the spec" };
}

/** The owner of the samples. Another run starts its counts again. */
function originOf({ key, rollout, status }: Round, nowMs: number): Omit<CheckOrigin, "step"> {
  const settledForMs = status.step === undefined ? undefined : sinceSettledMs(status.step, nowMs);
  const { namespace } = rollout.metadata;
  return {
    rollout: `${key} ${status.run ?? 0}`,
    ...(namespace === undefined ? {} : { namespace }),
    ...(settledForMs === undefined ? {} : { settledForMs }),
  };
}

/** During an undo, no new change is looked for. */
function unplanned({ rollout, status }: Round): Plan {
  return { steps: [], change: { candidate: status.candidate ?? "", watched: isWatched(rollout) } };
}

/** Whether a round failed only because its copy of an object was out of date. The next round reads it again. */
export function isRace(error: unknown): boolean {
  return isKubeCode(error, "conflict") || (error instanceof SerinError && error.code === "read-late");
}
