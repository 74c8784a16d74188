import type { RolloutStatus } from "../../src/api/serin/index.ts";

type CompletedSteps = RolloutStatus["completedSteps"];

/** Which steps of each rollout were told. An act that follows a rollout again tells only what is new. */
export class ToldSteps {
  readonly #counts = new Map<string, number>();

  /** The steps that no call has returned before. */
  notTold(rollout: string, completed: CompletedSteps): CompletedSteps {
    const shown = this.#counts.get(rollout) ?? 0;
    this.#counts.set(rollout, Math.max(shown, completed.length));
    return completed.slice(shown);
  }
}
