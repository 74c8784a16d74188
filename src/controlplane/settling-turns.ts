import type { CollectionGraph } from "../kube/index.ts";
import type { DiscoveryServer } from "./serve/index.ts";

export interface SettlingTurnsOptions {
  readonly graph: Pick<CollectionGraph, "settleFor" | "isSettling">;
  readonly discovery: Pick<DiscoveryServer, "flush" | "takeHeld">;
  readonly turnMs: number;
  /** Resolves after other events were handled. */
  readonly nextTurn: () => Promise<void>;
}

/**
 * Settles the model and sends what has changed. If that takes long, because an object has thousands of parts or there
 * are thousands of proxies, it takes several turns of the event loop. Probes, webhooks and certificate requests are
 * answered between the turns. Requests of proxies wait until the model is settled, because they must not see a part of
 * a change.
 */
export class SettlingTurns {
  readonly #options: SettlingTurnsOptions;
  #isRunning = false;
  /** Whether there are writes that no settling includes yet. */
  #isWanted = false;

  constructor(options: SettlingTurnsOptions) {
    this.#options = options;
  }

  settleAndSend(): void {
    const { graph, discovery, turnMs } = this.#options;
    if (this.#isRunning) {
      if (!graph.isSettling) this.#isWanted = true;
      return;
    }
    if (!graph.settleFor(turnMs) || !discovery.flush(turnMs)) void this.#goOn();
  }

  /** Settles all writes. Returns false if one turn is too short for this; the result is then sent in a later turn. */
  settle(): boolean {
    const { graph, turnMs } = this.#options;
    if (graph.settleFor(turnMs)) return true;
    if (!this.#isRunning) void this.#goOn();
    return false;
  }

  async #goOn(): Promise<void> {
    this.#isRunning = true;
    try {
      do await this.#options.nextTurn();
      while (!this.#turn());
    } finally {
      this.#isRunning = false;
    }
  }

  /** Does the work of one turn. Returns whether nothing is left to do. */
  #turn(): boolean {
    const { graph, discovery, turnMs } = this.#options;
    if (this.#isWanted || graph.isSettling) {
      this.#isWanted = false;
      if (!graph.settleFor(turnMs)) return false;
    }
    return discovery.flush(turnMs) && discovery.takeHeld(turnMs) && !graph.isSettling && !this.#isWanted;
  }
}
