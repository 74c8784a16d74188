import type { RolloutStatus } from "../../src/api/serin/index.ts";

type CompletedSteps = RolloutStatus["completedSteps"];

/** Remembers which steps of each rollout were printed. An act that follows a rollout again prints only new steps. */
export class PrintedSteps {
  readonly #counts = new Map<string, number>();

  /** Returns the completed steps that no earlier call for this rollout has returned. */
  takeNew(rollout: string, completed: CompletedSteps): CompletedSteps {
    const shown = this.#counts.get(rollout) ?? 0;
    this.#counts.set(rollout, Math.max(shown, completed.length));
    return completed.slice(shown);
  }
}
