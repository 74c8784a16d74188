import type { RolloutStatus } from "../../api/serin/index.ts";
import { allDone, isLingering, isPuttingBack, isUnderWay, nextOrdinalOf, type Contender } from "../decide/index.ts";
import { isMeshUpgrade, rolloutKey, targetOf, type Rollout } from "./rollout-object.ts";

/** What only a round knows about a rollout. */
export interface ContenderFacts {
  readonly wants: readonly string[];
  /** Something keeps it from beginning that no other rollout can change: a pause, a freeze, a spec that is refused. */
  readonly heldUp: boolean;
}

/**
 * What the rollouts of this engine know about each other. One process writes it between awaits, so two rollouts never
 * take the same thing.
 */
export class ContenderTable {
  readonly #contenders = new Map<string, Contender>();

  get all(): readonly Contender[] {
    return [...this.#contenders.values()];
  }

  has(key: string): boolean {
    return this.#contenders.has(key);
  }

  set(contender: Contender): void {
    this.#contenders.set(contender.key, contender);
  }

  delete(key: string): void {
    this.#contenders.delete(key);
  }

  /** Members of the group, this one left out. */
  partners({ key, group }: { readonly key: string; readonly group?: string }): readonly string[] {
    return group === undefined
      ? []
      : this.all.filter((other) => other.group === group && other.key !== key).map((other) => other.key);
  }
}

export function contenderOf(rollout: Rollout, status: RolloutStatus, facts: ContenderFacts): Contender {
  const { namespace, name = "", creationTimestamp, deletionTimestamp } = rollout.metadata;
  const { group } = (rollout.spec ?? {}) as { group?: string };
  const underWay = isUnderWay(status);
  const nextOrdinal = nextOrdinalOf(status);
  const atRest = ["Completed", "RolledBack", "Watching", "Stuck", "Paused"].includes(status.phase);
  return {
    key: rolloutKey(rollout),
    kind: isMeshUpgrade(rollout) ? "MeshUpgrade" : "Canary",
    ...(namespace === undefined ? {} : { namespace }),
    name,
    createdAtMs: Date.parse(creationTimestamp ?? "") || 0,
    phase: isPuttingBack(status) ? "RollingBack" : status.phase,
    underWay,
    wantsToBegin: !underWay && !atRest && !facts.heldUp && deletionTimestamp === undefined,
    holds: status.namespaces ?? [],
    wants: facts.wants,
    target: targetOf(rollout),
    ...(group === undefined ? {} : { group }),
    ...(status.groupRun === undefined ? {} : { groupRun: status.groupRun }),
    ...(nextOrdinal === undefined ? {} : { nextOrdinal }),
    lingers: isLingering(status),
    done: allDone(status),
  };
}
