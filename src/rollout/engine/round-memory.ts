import { jsonEqualWithoutNulls } from "../../base/index.ts";
import { isRestingPhase, type RolloutStatus, type StepStatus, type UndoStatus } from "../../api/serin/index.ts";
import type { Action, Decision, FailedWrite, UndoReport } from "../decide/index.ts";

/**
 * The maximum time that one round adds to a step's waiting and settling times. While an engine was suspended or waited
 * for an answer, it observed nothing.
 */
const maxRoundMs = 5000;
/**
 * The number of failures in a row from which on a write is repeated only after a delay, and the status reports the
 * failure. Fewer failures are usually lost races.
 */
const failuresAtOnce = 3;
const firstWriteDelayMs = 1000;
const maxWriteDelayMs = 10_000;
/**
 * How often a status is stored if only its texts and counters have changed. Clients that watch the object see every new
 * wait, but not every change of a wait's figures.
 */
export const storeTextsMs = 10_000;
const maxSuperseded = 16;
/**
 * How long the server may answer with a version of the object that this engine has already replaced. No cache lags
 * longer, so after this time somebody has restored the server's storage from a backup.
 */
const lateReadMs = 30_000;
/**
 * How long all rounds of a rollout must fail before its status says so, and how often it may say something else.
 * Shorter faults end by themselves.
 */
export const failingRoundsMs = 60_000;
/** How long a failure lasts without a repetition. After this time it is over, even if no later write has succeeded. */
const failureLastsMs = 60_000;

interface Failure extends Omit<FailedWrite, "waits"> {
  readonly count: number;
  readonly untilSteadyMs: number;
}

interface Remembered {
  readonly status: RolloutStatus;
  readonly atSteadyMs: number;
  readonly undo: UndoReport | undefined;
  readonly failure?: Failure | undefined;
  /** When this engine stored the status last, or saw the rollout first. */
  readonly storedAtSteadyMs: number;
}

/**
 * An engine's memory of a rollout between two rounds: the decisions since the status was stored, and the last undo. If
 * the memory is lost, the checks lose a few seconds of counting.
 */
export class RoundMemory {
  readonly #rounds = new Map<string, Remembered>();
  readonly #uids = new Map<string, string>();
  readonly #superseded = new Map<string, readonly string[]>();
  readonly #late = new Map<string, { readonly version: string; readonly sinceSteadyMs: number }>();
  /** Since when each round of a rollout has failed, and when its status last said so. */
  readonly #failing = new Map<string, { readonly sinceSteadyMs: number; readonly toldSteadyMs?: number }>();

  /** Forgets a rollout if somebody has deleted it and made another one with its name since the last round. */
  meet(key: string, uid: string): void {
    const before = this.#uids.get(key);
    if (before !== undefined && before !== uid) this.forget(key);
    this.#uids.set(key, uid);
  }

  /** The steady time since the last round, up to a bound. 0 in the first round. */
  elapsedMs(key: string, steadyMs: number): number {
    const last = this.#rounds.get(key);
    return last === undefined ? 0 : Math.round(Math.min(Math.max(0, steadyMs - last.atSteadyMs), maxRoundMs));
  }

  undoReport(key: string): UndoReport | undefined {
    return this.#rounds.get(key)?.undo;
  }

  /**
   * The remembered status, if the stored one differs from it only in texts and counters. Otherwise the stored status,
   * with the remembered counters if it has the same step or undo.
   */
  withProgress(key: string, stored: RolloutStatus): RolloutStatus {
    const last = this.#rounds.get(key)?.status;
    if (last === undefined) return stored;
    if (jsonEqualWithoutNulls(essenceOf(last), essenceOf(stored))) return last;
    const [step, undo] = [stored.step, stored.undo];
    const sameStep = step !== undefined && last.step?.id === step.id && last.step.settledAt === step.settledAt;
    const sameUndo = undo !== undefined && last.undo?.startedAt === undo.startedAt;
    return {
      ...stored,
      ...(sameStep ? { step: { ...step, ...counters(last.step) } } : {}),
      ...(sameUndo ? { undo: { ...undo, ...undoCounters(last.undo) } } : {}),
    };
  }

  remember(key: string, status: RolloutStatus, steadyMs: number): void {
    const last = this.#rounds.get(key);
    const storedAtSteadyMs = last?.storedAtSteadyMs ?? steadyMs;
    this.#rounds.set(key, {
      status,
      atSteadyMs: steadyMs,
      undo: last?.undo,
      failure: last?.failure,
      storedAtSteadyMs,
    });
  }

  isDue(key: string, stored: RolloutStatus | undefined, { status, actions }: Decision): boolean {
    const last = this.#rounds.get(key);
    const sinceMs = last === undefined ? 0 : last.atSteadyMs - last.storedAtSteadyMs;
    // Stores the status before an important action. The write names the version that was read, so it fails if an engine
    // that no longer leads acts on an old read.
    if (actions.some(({ type }) => type === "journal" || type === "write" || type === "forget")) return true;
    const tells = actions.some(({ type }) => type === "event");
    return isWorthStoring(stored, status, sinceMs, tells);
  }

  /**
   * Notes that a write of the status begins. This includes a write that fails: it is repeated when something happens,
   * or after the same interval as a successful one.
   */
  rememberStored(key: string): void {
    const last = this.#rounds.get(key);
    if (last !== undefined) this.#rounds.set(key, { ...last, storedAtSteadyMs: last.atSteadyMs });
  }

  rememberUndo(key: string, undo: UndoReport | undefined): void {
    const last = this.#rounds.get(key);
    if (last === undefined) return;
    // A pass that fails has no report. This pass has a report, so its actions no longer fail.
    const failure = undo === undefined ? last.failure : undefined;
    this.#rounds.set(key, { ...last, undo, failure });
  }

  /**
   * Notes that a write of the last round failed. The engine repeats it less and less often, however often rounds run.
   */
  rememberFailedWrite(key: string, failed: Omit<FailedWrite, "waits">, steadyMs: number): void {
    const last = this.#rounds.get(key);
    if (last === undefined) return;
    const before = isOver(last.failure, steadyMs) ? 0 : (last.failure?.count ?? 0);
    const count = before + 1;
    const delayMs =
      count < failuresAtOnce ? 0 : Math.min(maxWriteDelayMs, firstWriteDelayMs * 2 ** (count - failuresAtOnce));
    this.#rounds.set(key, { ...last, failure: { ...failed, count, untilSteadyMs: steadyMs + delayMs } });
  }

  /**
   * Notes that all actions of the last round were carried out. A write that somebody keeps undoing counts as failed,
   * even if the step paused in between.
   */
  rememberDone(key: string, { actions, repeats }: Decision, steadyMs: number): void {
    if (repeats !== undefined) return this.rememberFailedWrite(key, repeats, steadyMs);
    if (!actions.some(clearsFailure)) return;
    const last = this.#rounds.get(key);
    if (last?.failure !== undefined) this.#rounds.set(key, { ...last, failure: undefined });
  }

  /** Notes that a round read its rollout and failed afterwards. Returns whether the status should say so now. */
  rememberFailedRound(key: string, steadyMs: number): boolean {
    const { sinceSteadyMs, toldSteadyMs } = this.#failing.get(key) ?? { sinceSteadyMs: steadyMs };
    const isDue =
      steadyMs - sinceSteadyMs >= failingRoundsMs &&
      (toldSteadyMs === undefined || steadyMs - toldSteadyMs >= failingRoundsMs);
    const told = isDue ? steadyMs : toldSteadyMs;
    this.#failing.set(key, { sinceSteadyMs, ...(told === undefined ? {} : { toldSteadyMs: told }) });
    return isDue;
  }

  /**
   * Forgets earlier failures after a round that came to its end. Does so too if the server did not even return the
   * rollout, because this says nothing about the rollout.
   */
  forgetFailedRounds(key: string): void {
    this.#failing.delete(key);
  }

  failedWrite(key: string, steadyMs: number): FailedWrite | undefined {
    const failure = this.#rounds.get(key)?.failure;
    if (failure === undefined || failure.count < failuresAtOnce || isOver(failure, steadyMs)) return undefined;
    const { count: _count, untilSteadyMs, ...failed } = failure;
    return { ...failed, waits: steadyMs < untilSteadyMs };
  }

  /** Notes that this engine has changed the object, so that a later read of the earlier version counts as stale. */
  supersede(key: string, version: string): void {
    this.#superseded.set(key, [...(this.#superseded.get(key) ?? []), version].slice(-maxSuperseded));
  }

  /** Whether this engine has changed the object. */
  knows(key: string): boolean {
    return this.#superseded.has(key);
  }

  /**
   * Whether a read version is stale. If the server keeps returning it for {@link lateReadMs}, the version is valid:
   * somebody has restored the server's storage from a backup.
   */
  isSuperseded(key: string, version: string | undefined, steadyMs: number): boolean {
    if (version === undefined || this.#superseded.get(key)?.includes(version) !== true) {
      this.#late.delete(key);
      return false;
    }
    const late = this.#late.get(key);
    if (late?.version !== version) this.#late.set(key, { version, sinceSteadyMs: steadyMs });
    else if (steadyMs - late.sinceSteadyMs >= lateReadMs) {
      this.forget(key);
      return false;
    }
    return true;
  }

  forget(key: string): void {
    this.#rounds.delete(key);
    this.#uids.delete(key);
    this.#superseded.delete(key);
    this.#late.delete(key);
    this.#failing.delete(key);
  }
}

function isOver(failure: Failure | undefined, steadyMs: number): boolean {
  return failure !== undefined && steadyMs - failure.untilSteadyMs > failureLastsMs;
}

function clearsFailure(action: Action): boolean {
  return (
    action.type === "write" ||
    action.type === "forget" ||
    (action.type === "event" && /^(StepDone|StepStarted|RollingBack)$/.test(action.reason))
  );
}

type Counters = Pick<StepStatus, "settlingMs" | "settledForMs" | "settlingLeft" | "stalledMs">;

function counters(step: RolloutStatus["step"]): Counters {
  const { settlingMs, settledForMs, settlingLeft, stalledMs } = step ?? {};
  return {
    ...(settlingMs === undefined ? {} : { settlingMs }),
    ...(settledForMs === undefined ? {} : { settledForMs }),
    ...(settlingLeft === undefined ? {} : { settlingLeft }),
    ...(stalledMs === undefined ? {} : { stalledMs }),
  };
}

function undoCounters({ elapsedMs, waitedMs, podsLeft }: UndoStatus): Partial<UndoStatus> {
  return { elapsedMs, waitedMs, ...(podsLeft === undefined ? {} : { podsLeft }) };
}

/**
 * Whether to store a status now. A status is stored at once if more than texts and counters has changed, and otherwise
 * from time to time. Texts and counters alone are not stored while a person pauses the rollout. While a person must
 * act, they are stored only with a new text. In a rollout at rest, a new text is stored at once.
 */
function isWorthStoring(
  stored: RolloutStatus | undefined,
  next: RolloutStatus,
  sinceStoredMs: number,
  tells: boolean,
): boolean {
  if (stored === undefined) return true;
  if (jsonEqualWithoutNulls(stored, next)) return false;
  if (tells || !jsonEqualWithoutNulls(essenceOf(stored), essenceOf(next))) return true;
  // The figures of a rollout at rest do not change, and no later event would store the text.
  if (isRestingPhase(next.phase) && stored.message !== next.message) return true;
  if (next.phase === "Paused") return false;
  if (next.phase === "Stuck" && next.undo === undefined && stored.message === next.message) return false;
  return sinceStoredMs >= storeTextsMs;
}

/** A status without the texts and figures that change while the rollout waits. */
export function essenceOf(status: RolloutStatus): unknown {
  const { step, undo, message: _message, conditions, ...rest } = status;
  return {
    ...rest,
    conditions: conditions.map(({ type, status: value }) => [type, value]),
    ...(step === undefined
      ? {}
      : {
          step: {
            ...step,
            settlingMs: 0,
            settledForMs: 0,
            settlingLeft: 0,
            stalledMs: 0,
            waitingSince: "",
            waitsUntil: "",
            // The start of a wait is stored at once. Its changing figures are stored from time to time.
            waitingFor: (step.waitingFor ?? []).length > 0,
            checks: step.checks.map(({ type, name, verdict }) => [type, name, verdict]),
          },
        }),
    ...(undo === undefined
      ? {}
      : { undo: { ...undo, elapsedMs: 0, waitedMs: 0, podsLeft: 0, waitingFor: undo.waitingFor.length > 0 } }),
  };
}
