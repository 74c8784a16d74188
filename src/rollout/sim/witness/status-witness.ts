import { invariant, jsonEqualWithoutNulls } from "../../../base/index.ts";
import { isRestingPhase, type RolloutStatus } from "../../../api/serin/index.ts";
import { cannotGoOn } from "../../decide/index.ts";
import { essenceOf, storeTextsMs } from "../../engine/round-memory.ts";
import type { ModelCluster } from "../model-cluster.ts";
import { calmFromTick, tickMs } from "../scenario.ts";

const minuteMs = 60_000;
const maxRepetitions = 20;

interface Writing {
  /** When the status was last written for any reason that this witness allows. */
  toldAtMs: number;
  /** The times, in the last minute, at which the engine repeated the writes of this step. */
  repeated: { readonly step: string; readonly atMs: readonly number[] };
}

/** Checks that engines write statuses and repeat writes only as often as they must. */
export class StatusWitness {
  readonly #cluster: Pick<ModelCluster, "nowMs">;
  readonly #writings = new Map<string, Writing>();

  constructor(cluster: Pick<ModelCluster, "nowMs">) {
    this.#cluster = cluster;
  }

  /**
   * Checks that an engine rarely writes a status of which only texts and counters have changed, and never while a
   * person pauses the rollout.
   */
  isWorthWriting(key: string, stored: RolloutStatus | undefined, status: RolloutStatus, actions: number): void {
    const seen = this.#writingOf(key);
    if (stored === undefined || actions > 0 || !jsonEqualWithoutNulls(essenceOf(stored), essenceOf(status))) {
      seen.toldAtMs = this.#cluster.nowMs;
      return;
    }
    invariant(status.phase !== "Paused", `${key} wrote its status while it was paused: ${status.message}`);
    invariant(
      status.phase !== "Stuck" || status.undo !== undefined || stored.message !== status.message,
      `${key} wrote its status while a person must act, and said the same: ${status.message}`,
    );
    const sinceMs = this.#cluster.nowMs - seen.toldAtMs;
    // A recovery from failing rounds is reported at once.
    if (stored.message.includes(cannotGoOn) && !status.message.includes(cannotGoOn)) return;
    // A rollout at rest has no other news than a new text.
    if (isRestingPhase(status.phase) && stored.message !== status.message) return;
    invariant(sinceMs >= storeTextsMs, `${key} wrote its status ${sinceMs} ms after the last time: ${status.message}`);
    seen.toldAtMs = this.#cluster.nowMs;
  }

  /**
   * Checks that an engine rarely repeats a write that fails. Only after all disturbances, because engines are killed
   * before, and a new one begins with short intervals.
   */
  isPatient(key: string, stored: RolloutStatus | undefined, status: RolloutStatus): void {
    if (stored === undefined || !jsonEqualWithoutNulls(essenceOf(stored), essenceOf(status))) return;
    const nowMs = this.#cluster.nowMs;
    if (nowMs < calmFromTick * tickMs) return;
    const seen = this.#writingOf(key);
    const step = status.step?.id ?? "";
    const before = seen.repeated.step === step ? seen.repeated.atMs.filter((atMs) => nowMs - atMs < minuteMs) : [];
    seen.repeated = { step, atMs: [...before, nowMs] };
    const count = seen.repeated.atMs.length;
    invariant(count <= maxRepetitions, `${key} wrote the same ${count} times in a minute: ${status.message}`);
  }

  /** A new engine does not know how often the former one has repeated a write, so the count begins anew. */
  engineRestarted(): void {
    for (const writing of this.#writings.values()) writing.repeated = { step: "", atMs: [] };
  }

  forget(key: string): void {
    this.#writings.delete(key);
  }

  #writingOf(key: string): Writing {
    const known = this.#writings.get(key) ?? {
      toldAtMs: Number.NEGATIVE_INFINITY,
      repeated: { step: "", atMs: [] },
    };
    this.#writings.set(key, known);
    return known;
  }
}
