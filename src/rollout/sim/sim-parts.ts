import type { Random } from "../../base/index.ts";
import type { ModelCluster } from "./model-cluster.ts";
import type { OtherWriters } from "./other-writers.ts";
import { calmFromTick, type Scenario } from "./scenario.ts";
import type { SimStore } from "./sim-store.ts";
import type { Witness } from "./witness/witness.ts";

const epochMs = Date.parse("2026-01-01T00:00:00Z");

/** The time of a simulation. Its wall clock may jump. */
export class SimTime {
  tick = 0;
  wallOffsetMs = 0;
  readonly #cluster: Pick<ModelCluster, "nowMs">;

  constructor(cluster: Pick<ModelCluster, "nowMs">) {
    this.#cluster = cluster;
  }

  get wallMs(): number {
    return epochMs + this.#cluster.nowMs + this.wallOffsetMs;
  }

  get at(): string {
    return new Date(this.wallMs).toISOString();
  }

  /** Whether all disturbances have ended. */
  get isCalm(): boolean {
    return this.tick >= calmFromTick;
  }
}

export interface SimParts {
  readonly scenario: Scenario;
  readonly random: Random;
  readonly cluster: ModelCluster;
  readonly store: SimStore;
  readonly witness: Witness;
  readonly others: OtherWriters;
  readonly time: SimTime;
  readonly note: (text: string) => void;
}
