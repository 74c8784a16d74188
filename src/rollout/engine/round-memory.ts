import type { RolloutStatus, StepStatus } from "../../api/serin/index.ts";
import { sameJson } from "../act/object-access.ts";
import type { Decision, UndoReport } from "../decide/index.ts";

/** What one round adds at most: an engine that was stopped, or waited for an answer, has watched nothing meanwhile. */
const maxRoundMs = 5000;
/** Texts and counters alone are stored so often: who watches the object sees each wait that there is, and not each figure. */
export const storeTextsMs = 10_000;
const maxSuperseded = 16;

interface Remembered {
  readonly status: RolloutStatus;
  readonly atSteadyMs: number;
  readonly undo: UndoReport | undefined;
  /** When this engine stored the status last, or saw the rollout first. */
  readonly storedAtSteadyMs: number;
}

/** What an engine keeps of a rollout between two rounds: what was decided since the status was stored, and the last undo. Losing it loses some seconds of counting. */
export class RoundMemory {
  readonly #rounds = new Map<string, Remembered>();
  readonly #superseded = new Map<string, readonly string[]>();

  /** Steady time since the last round, bounded; 0 in the first. */
  elapsedMs(key: string, steadyMs: number): number {
    const last = this.#rounds.get(key);
    return last === undefined ? 0 : Math.round(Math.min(Math.max(0, steadyMs - last.atSteadyMs), maxRoundMs));
  }

  undoReport(key: string): UndoReport | undefined {
    return this.#rounds.get(key)?.undo;
  }

  /** The stored status, with what this engine has decided since where the two differ in texts and counters alone. */
  withProgress(key: string, stored: RolloutStatus): RolloutStatus {
    const last = this.#rounds.get(key)?.status;
    if (last === undefined) return stored;
    if (sameJson(essenceOf(last), essenceOf(stored))) return last;
    const [step, undo] = [stored.step, stored.undo];
    const sameStep = step !== undefined && last.step?.id === step.id && last.step.settledAt === step.settledAt;
    const sameUndo = undo !== undefined && last.undo?.startedAt === undo.startedAt;
    return {
      ...stored,
      ...(sameStep ? { step: { ...step, ...counters(last.step) } } : {}),
      ...(sameUndo ? { undo: { ...undo, elapsedMs: last.undo.elapsedMs, waitedMs: last.undo.waitedMs } } : {}),
    };
  }

  remember(key: string, status: RolloutStatus, steadyMs: number): void {
    const last = this.#rounds.get(key);
    const storedAtSteadyMs = last?.storedAtSteadyMs ?? steadyMs;
    this.#rounds.set(key, { status, atSteadyMs: steadyMs, undo: last?.undo, storedAtSteadyMs });
  }

  /** Whether what the last round decided is worth a write. */
  isDue(key: string, stored: RolloutStatus | undefined, { status, actions }: Decision): boolean {
    const last = this.#rounds.get(key);
    const sinceMs = last === undefined ? 0 : last.atSteadyMs - last.storedAtSteadyMs;
    // A write with the version that was read also keeps an engine that leads no more from acting on what it read.
    if (actions.some(({ type }) => type === "journal" || type === "write" || type === "forget")) return true;
    const tells = actions.some(({ type }) => type === "event");
    return isWorthStoring(stored, status, sinceMs, tells);
  }

  /** A write of the status begins. One that failed counts as well: it is tried again when something happens, or after the same while. */
  rememberStored(key: string): void {
    const last = this.#rounds.get(key);
    if (last !== undefined) this.#rounds.set(key, { ...last, storedAtSteadyMs: last.atSteadyMs });
  }

  rememberUndo(key: string, undo: UndoReport | undefined): void {
    const last = this.#rounds.get(key);
    if (last !== undefined) this.#rounds.set(key, { ...last, undo });
  }

  /** This engine has written the object anew: whoever reads that version later reads an old copy. */
  supersede(key: string, version: string): void {
    this.#superseded.set(key, [...(this.#superseded.get(key) ?? []), version].slice(-maxSuperseded));
  }

  /** This engine has written the object itself. */
  knows(key: string): boolean {
    return this.#superseded.has(key);
  }

  isSuperseded(key: string, version: string | undefined): boolean {
    return version !== undefined && this.#superseded.get(key)?.includes(version) === true;
  }

  forget(key: string): void {
    this.#rounds.delete(key);
    this.#superseded.delete(key);
  }
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

/**
 * Whether a status is worth a write: where anything but texts and counters has changed at once, else now and then. Never
 * while a person pauses it, and while one must act only where the text says something else.
 */
function isWorthStoring(
  stored: RolloutStatus | undefined,
  next: RolloutStatus,
  sinceStoredMs: number,
  tells: boolean,
): boolean {
  if (stored === undefined) return true;
  if (sameJson(stored, next)) return false;
  if (tells || !sameJson(essenceOf(stored), essenceOf(next))) return true;
  if (next.phase === "Paused") return false;
  if (next.phase === "Stuck" && next.undo === undefined && stored.message === next.message) return false;
  return sinceStoredMs >= storeTextsMs;
}

/** A status without what counts on while it waits. */
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
            // That it waits is told at once, the rest of it now and then.
            waitingFor: (step.waitingFor ?? []).length > 0,
            checks: step.checks.map(({ type, name, verdict }) => [type, name, verdict]),
          },
        }),
    ...(undo === undefined ? {} : { undo: { ...undo, elapsedMs: 0, waitedMs: 0, waitingFor: [] } }),
  };
}
