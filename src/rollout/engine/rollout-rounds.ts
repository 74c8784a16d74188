import { messageOf, threadCpuTimeMs, transientError } from "../../base/index.ts";
import type { KindDefinition, UntypedObject } from "../../api/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import type { RightsRefusal } from "../access/index.ts";
import {
  currentStep,
  failingStatus,
  isDone,
  isJournalLost,
  isPuttingBack,
  isUnbegunCopy,
  journalCounts,
  noticed,
  orderedSteps,
  refusedStatus,
  sinceSettledMs,
  type JournalCounts,
  type Observation,
  type Refusal,
  type Step,
} from "../decide/index.ts";
import type { CheckOrigin } from "../observe/checks/check-observer.ts";
import { TimeShares } from "../shares/time-shares.ts";
import { companionsOf, withinReach } from "./author-reach.ts";
import { contenderOf } from "./contender-table.ts";
import { entriesForPlan } from "./entries-for-plan.ts";
import { isAtRest, lateReadRoundMs, nextRoundMs, refusedTickMs, restAfterMs } from "./next-round.ts";
import { entriesOfMover, moversOfPosition } from "./moved-rules.ts";
import { planRefusal, unplannedChange, type Plan } from "./planner.ts";
import { journalNameOf, journalOfContender } from "./journal-name.ts";
import { asksForRun, copiedUid, isWatched, kindOfRollout, type Rollout } from "./rollout-object.ts";
import { asksToPutBack } from "./round-board.ts";
import { RolloutWriter } from "./rollout-writer.ts";
import { carryOut, type CarryOutTools } from "./carry-out.ts";
import { failureText, isRace, isTold, roundFailureOf } from "./round-failure.ts";
import { derivedValues, roundJournal } from "./round-journal.ts";
import { seenRollout, showPhase, type Round, type RoundServices, type SeenRollout } from "./round.ts";

const atOnceMs = 1;

/** The rounds of all rollouts. A round reads one rollout, observes it, decides, stores the decision and acts. */
export class RolloutRounds {
  readonly #services: RoundServices;
  readonly #writer: RolloutWriter;
  readonly #tools: CarryOutTools;
  /**
   * Divides the time for decisions among namespaces. A decision about a Canary evaluates conditions that its author
   * wrote, which may take long.
   */
  readonly #shares: TimeShares;

  constructor(services: RoundServices) {
    this.#services = services;
    this.#writer = new RolloutWriter(services.client, services.journals, services.log);
    this.#tools = { services, writer: this.#writer, told: new WeakSet() };
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
      const isCounted = isRead && error instanceof Error && !isRace(error) && !this.#tools.told.has(error);
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
    // Other rollouts would see an outdated state of this rollout if the table took a stale copy.
    if (this.#services.board.memory.isSuperseded(key, raw.metadata.resourceVersion, this.#services.clock.steadyMs()))
      throw transientError("read-late", `${key}: the server answered with a version that this engine has replaced`);
    const seen = seenRollout(key, raw, this.#services.board.memory);
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

  /**
   * The group members that count for the rollout. An undo goes on without any if the rights of other authors cannot be
   * checked.
   */
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
    // A paused rollout shows no failure, because a person must resume it first.
    if (raw === undefined || (raw.status?.phase === "Paused" && raw.spec?.paused === true)) return;
    const seen = seenRollout(key, raw, board.memory);
    const companions = await this.#companionsOf(seen).catch(() => new Set<string>());
    const failure = roundFailureOf(failureText(error), { ...seen, companions }, board);
    const failing = failingStatus(seen.status, failure, clock.nowMs());
    board.table.set(contenderOf(raw, { ...seen.status, phase: failing.phase }, { wants: [], heldUp: true }));
    showPhase(this.#services.metrics, key, failing.phase);
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

  #isAtRest({ rollout, raw, status, orders, problem }: SeenRollout): boolean {
    return problem === undefined && isAtRest(rollout, raw, status, orders, unplannedChange(rollout).candidate);
  }

  async #rest<Value extends Rollout>(
    kind: KindDefinition<Value>,
    { key, raw, rollout, status, orders }: Round,
  ): Promise<undefined> {
    this.#services.board.table.set(contenderOf(rollout, status, { wants: [], heldUp: false }));
    showPhase(this.#services.metrics, key, status.phase);
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
    const journal = await roundJournal(this.#services, raw);
    const isUnbegun = isUnbegunCopy(orders, status);
    const counts = journalCounts(journal, raw.metadata.uid, isUnbegun ? undefined : copiedUid(raw));
    // An undo needs neither a plan nor a right.
    const mustPutBack = asksToPutBack(round, counts);
    const isLost = isJournalLost(status, journal, { ...orders, mustPutBack });
    if ((isUnbegun || orders.deletion !== undefined) && !isLost && journal.entries.length === 0)
      if (await this.#services.actions.journalLostHold(rollout)) return atOnceMs;
    // In these states the round works on no step, so it needs no plan.
    const isWaiting = counts.isLeftover === true || isUnbegun || isLost;
    const planned = isWaiting ? unplanned(round) : await this.#plan(round, mustPutBack, { ...journal, counts });
    if ("problem" in planned) return await this.#refuse(kind, round, planned);
    const steps = await withinReach(raw, orderedSteps(planned.steps, orders, status), this.#services);
    const refused = isWaiting || mustPutBack ? undefined : await this.#notAllowed(round, steps);
    if (refused !== undefined) return await this.#refuse(kind, round, { ...refused, reason: "author" });
    const step = currentStep(steps, status, planned.change.watched);
    const observation = await this.#observe(round, step, journal.entries);
    const derived = isLost ? await derivedValues(this.#services, round) : undefined;
    // The reason for the undo may have disappeared meanwhile, together with another member of the group. This round has
    // no plan, so no step would seem to be left, and it has not checked the author's rights. The next round decides.
    if (mustPutBack && !board.mustPutBack(round, counts)) return atOnceMs;
    // Counts processor time, so that a busy machine does not make rollouts wait.
    const busyMs = this.#services.busyMs ?? threadCpuTimeMs;
    const decidedFromMs = busyMs();
    // From here to the decision there is no `await`. So if two rollouts want the same namespace or target, the second
    // one sees that the first one has it.
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
    await carryOut(this.#tools, kind, round, decision, journal.entries);
    this.#services.metrics.verdicts(raw.status?.step, decision.status.step);
    return restAfterMs(nextRoundMs(rollout, decision.status), clock.steadyMs() - begunMs);
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

  async #notAllowed({ raw, status }: Round, steps: readonly Step[]): Promise<RightsRefusal | undefined> {
    if (this.#services.rights === undefined) return undefined;
    const open = steps.filter((step) => !isDone(step, status));
    return await this.#services.rights.refusal(
      { ...(raw as unknown as UntypedObject), kind: kindOfRollout(raw).kind },
      open,
    );
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
        Promise.all(
          movers().map(async (other) => entriesOfMover(other, await journals.read(journalOfContender(other)))),
        ),
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
    // The rollout keeps what it holds until it continues or is undone.
    this.#services.board.table.set(contenderOf(raw, { ...status, phase }, { wants: [], heldUp: true }));
    showPhase(this.#services.metrics, key, phase);
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
}

function refusedSpec(problem: string): Refusal {
  return { reason: "spec", problem, remedy: "correct the spec" };
}

/** Identifies the run to which the samples of its checks belong. Another run begins its counts again. */
function originOf({ key, rollout, status }: Round, nowMs: number): Omit<CheckOrigin, "step"> {
  const settledForMs = status.step === undefined ? undefined : sinceSettledMs(status.step, nowMs);
  const { namespace } = rollout.metadata;
  return {
    rollout: `${key} ${status.run ?? 0}`,
    ...(namespace === undefined ? {} : { namespace }),
    ...(settledForMs === undefined ? {} : { settledForMs }),
  };
}

/** The plan of an undo: no steps, and no look for a new change. */
function unplanned({ rollout, status }: Round): Plan {
  return { steps: [], change: { candidate: status.candidate ?? "", watched: isWatched(rollout) } };
}
