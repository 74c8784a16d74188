import { isRestingPhase, type RolloutStatus } from "../../api/serin/index.ts";
import { allDone, isLingering, isPuttingBack, isUnderWay, nextOrdinalOf, type Contender } from "../decide/index.ts";
import { movedRules } from "./moved-rules.ts";
import { groupName, isMeshUpgrade, rolloutKey, targetOf, type Rollout } from "./rollout-object.ts";

/** Facts about a rollout that only its own round knows. */
export interface ContenderFacts {
  readonly wants: readonly string[];
  /** A pause, a freeze or a refused spec keeps the rollout from beginning, so it does not wait for other rollouts. */
  readonly heldUp: boolean;
}

/**
 * The facts that this engine's rollouts know about each other. A round reads and updates the table without an `await`
 * in between, so two rollouts never take the same namespace or target.
 */
export class ContenderTable {
  readonly #contenders = new Map<string, Contender>();
  /** The state of each rollout after its decision is stored. */
  readonly #decided = new Map<string, Contender>();

  get all(): readonly Contender[] {
    return [...this.#contenders.values()];
  }

  has(key: string): boolean {
    return this.#contenders.has(key);
  }

  set(contender: Contender): void {
    this.#contenders.set(contender.key, contender);
    this.#decided.delete(contender.key);
  }

  /**
   * A rollout takes a namespace or target with its decision, and releases it only when the decision is stored. A failed
   * write releases nothing, and the next round may decide otherwise.
   */
  decided(before: Contender, after: Contender): void {
    this.#contenders.set(after.key, withBoth(before, after));
    this.#decided.set(after.key, after);
  }

  /**
   * Releases what the rollout no longer needs after its decision is stored. Call it also if the decision needs no
   * write.
   */
  stored(key: string): void {
    const decided = this.#decided.get(key);
    if (decided !== undefined) this.set(decided);
  }

  delete(key: string): void {
    this.#contenders.delete(key);
    this.#decided.delete(key);
  }

  partners(key: string, group: string | undefined): readonly string[] {
    return group === undefined
      ? []
      : this.all.filter((other) => other.group === group && other.key !== key).map((other) => other.key);
  }
}

/**
 * The state between a decision and its storage: the rollout holds everything that it held before or takes now, and its
 * step number is the lower of the two.
 */
function withBoth(before: Contender, { nextOrdinal, ...after }: Contender): Contender {
  const ordinals = [before.nextOrdinal, nextOrdinal].flatMap((ordinal) => (ordinal === undefined ? [] : [ordinal]));
  const underWay = before.underWay || after.underWay;
  return {
    ...after,
    underWay,
    wantsToBegin: after.wantsToBegin && !underWay,
    holds: [...new Set([...before.holds, ...after.holds])],
    lingers: before.lingers && after.lingers,
    done: before.done && after.done,
    ...(ordinals.length === 0 ? {} : { nextOrdinal: Math.min(...ordinals) }),
  };
}

export function contenderOf(rollout: Rollout, status: RolloutStatus, facts: ContenderFacts): Contender {
  const { namespace, name = "", creationTimestamp, deletionTimestamp } = rollout.metadata;
  const group = groupName(rollout);
  const underWay = isUnderWay(status);
  const nextOrdinal = nextOrdinalOf(status);
  const atRest = isRestingPhase(status.phase) || status.phase === "Stuck" || status.phase === "Paused";
  return {
    key: rolloutKey(rollout),
    kind: isMeshUpgrade(rollout) ? "MeshUpgrade" : "Canary",
    ...(namespace === undefined ? {} : { namespace }),
    name,
    createdAtMs: Date.parse(creationTimestamp ?? "") || 0,
    phase: isPuttingBack(status) ? "RollingBack" : status.phase,
    ...(status.phase === "Stuck" ? { isStuck: true } : {}),
    underWay,
    wantsToBegin: !underWay && !atRest && !facts.heldUp && deletionTimestamp === undefined,
    holds: status.namespaces ?? [],
    wants: facts.wants,
    target: targetOf(rollout),
    routes: movedRules(rollout, status),
    ...(group === undefined ? {} : { group }),
    ...(status.groupRun === undefined ? {} : { groupRun: status.groupRun }),
    ...(nextOrdinal === undefined ? {} : { nextOrdinal }),
    lingers: isLingering(status),
    done: allDone(status),
    ...journalOf(status, underWay && deletionTimestamp === undefined),
  };
}

/**
 * See {@link Contender.journal}. An undo and a deletion clear the journal before the status says so, so they expect
 * none.
 */
function journalOf(status: RolloutStatus, hasEntries: boolean): Pick<Contender, "journal"> {
  const { journaled, lostJournal } = status;
  if (lostJournal !== undefined) return lostJournal.accepted === true ? {} : { journal: "lost" };
  return hasEntries && journaled !== undefined && !isPuttingBack(status) ? { journal: "expected" } : {};
}
