import type { RolloutStatus } from "../../api/serin/index.ts";
import { sameJson } from "../act/object-access.ts";
import type { UndoReport } from "../decide/index.ts";

/** What one round adds at most: an engine that was stopped, or waited for an answer, has watched nothing meanwhile. */
const maxRoundMs = 5000;
/** Counters alone are stored so often. */
const storeCountersMs = 1000;
const maxSuperseded = 16;

interface Remembered {
  readonly status: RolloutStatus;
  readonly atSteadyMs: number;
  readonly undo: UndoReport | undefined;
}

/** What an engine keeps of a rollout between two rounds: how far time counters have come since the status was stored, and the last undo. Losing it loses a second. */
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

  /** The stored status with the counters as they have come since. */
  withCounters(key: string, stored: RolloutStatus): RolloutStatus {
    const last = this.#rounds.get(key)?.status;
    if (last === undefined) return stored;
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
    this.#rounds.set(key, { status, atSteadyMs: steadyMs, undo: this.#rounds.get(key)?.undo });
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

function counters(step: RolloutStatus["step"]): { readonly settlingMs?: number; readonly settledForMs?: number } {
  const { settlingMs, settledForMs } = step ?? {};
  return {
    ...(settlingMs === undefined ? {} : { settlingMs }),
    ...(settledForMs === undefined ? {} : { settledForMs }),
  };
}

/** Whether a status is worth a write: anything but counters has changed, or they have come far enough. */
export function isWorthStoring(stored: RolloutStatus | undefined, next: RolloutStatus): boolean {
  if (stored === undefined) return true;
  if (sameJson(stored, next)) return false;
  if (!sameJson(withoutCounters(stored), withoutCounters(next))) return true;
  const gain = (pick: (status: RolloutStatus) => number | undefined): number =>
    Math.abs((pick(next) ?? 0) - (pick(stored) ?? 0));
  return [
    gain(({ step }) => step?.settlingMs),
    gain(({ step }) => step?.settledForMs),
    gain(({ undo }) => undo?.elapsedMs),
  ].some((ms) => ms >= storeCountersMs);
}

function withoutCounters(status: RolloutStatus): RolloutStatus {
  const { step, undo, ...rest } = status;
  return {
    ...rest,
    ...(step === undefined ? {} : { step: { ...step, settlingMs: 0, settledForMs: 0 } }),
    ...(undo === undefined ? {} : { undo: { ...undo, elapsedMs: 0, waitedMs: 0 } }),
  };
}
