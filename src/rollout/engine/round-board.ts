import type { Freeze, RolloutStatus } from "../../api/serin/index.ts";
import {
  blockers,
  currentStep,
  decide,
  groupView,
  isUnderWay,
  namespacesTaken,
  plannedSteps,
  putBackCause,
  withLastWeightOpen,
  type Blocker,
  type Contender,
  type DecideInput,
  type Decision,
  type GroupView,
  type JournalCounts,
  type RolloutOrders,
} from "../decide/index.ts";
import { contenderOf, ContenderTable } from "./contender-table.ts";
import { FreezeCalendar } from "./freeze-calendar.ts";
import { groupName, isMeshUpgrade, type Rollout } from "./rollout-object.ts";
import { RoundMemory } from "./round-memory.ts";

export interface RolloutSeen {
  readonly key: string;
  readonly rollout: Rollout;
  readonly status: RolloutStatus;
  readonly orders: RolloutOrders;
  /** Something other than a pause or a freeze keeps it from beginning. */
  readonly heldUp: boolean;
  /** The members of its group in other namespaces that count for it. Absent means all. */
  readonly companions?: ReadonlySet<string> | undefined;
}

type PutBackSeen = Pick<RolloutSeen, "rollout" | "status" | "orders" | "companions">;

/** A rollout with its group, as the group was when the round began. */
export interface GroupedRollout extends Pick<RolloutSeen, "status" | "orders"> {
  readonly group: GroupView | undefined;
}

/** The same as {@link RoundBoard.mustPutBack} for the group at the beginning of the round, which may have changed. */
export function asksToPutBack(
  { status, orders, group }: GroupedRollout,
  journal?: Pick<JournalCounts, "run">,
): boolean {
  const known = { ...(group === undefined ? {} : { group }), ...(journal === undefined ? {} : { journal }) };
  return putBackCause({ status, orders, ...known }) !== undefined;
}

export interface RoundFacts extends Pick<DecideInput, "steps" | "change" | "observation" | "journal" | "derived"> {
  readonly freezes: readonly Freeze[] | undefined;
}

const unknownFreezes =
  "the API server has not listed the freezes to the engine yet, and one may be in force; if this lasts: kubectl get freezes, kubectl -n serin-system logs deployment/serin-rollout";

export class RoundBoard {
  readonly table = new ContenderTable();
  readonly memory = new RoundMemory();
  readonly #calendar = new FreezeCalendar();
  readonly #maxConcurrent: number;

  constructor(maxConcurrent: number) {
    this.#maxConcurrent = maxConcurrent;
  }

  /**
   * Decides one round without interruption, so the other rollouts see at once which namespaces and targets this one
   * takes. They see which ones it releases after `table.stored` is called.
   */
  decide(
    observed: RolloutSeen,
    facts: RoundFacts,
    time: { readonly steadyMs: number; readonly nowMs: number },
  ): Decision {
    const { key, rollout, status, orders, heldUp } = observed;
    const { steps, change, observation, journal, derived } = facts;
    // The other rollouts must see the step that the decision begins, even if an edit of the spec has made a finished
    // step unfinished again.
    const open = isUnderWay(status) ? withLastWeightOpen(steps, status) : status;
    const step = currentStep(steps, open, change.watched);
    const wants = step === undefined ? [] : namespacesTaken(step, steps, orders);
    const freezes = this.#freezesFor(rollout, facts.freezes, time.nowMs);
    const round = { wants, heldUp: heldUp || orders.paused || freezes.length > 0 };
    // The rollout's next step comes from the current plan, because an order may have changed the step since the status
    // was stored. The moved rule comes from the plan too, because the status lacks it before the rollout's first
    // decision.
    const { meantRule } = change;
    const planned = {
      ...open,
      ...(steps.length === 0 ? {} : { plannedSteps: plannedSteps(steps, open) }),
      ...(meantRule === undefined ? {} : { meantRule }),
    };
    const self = contenderOf(rollout, planned, round);
    this.table.set(self);
    const all = this.#seenBy(self, observed.companions);
    const undo = this.memory.undoReport(key);
    const failedWrite = this.memory.failedWrite(key, time.steadyMs);
    const group = groupView(self, all);
    const decision = decide({
      orders,
      status,
      steps,
      change,
      observation,
      journal,
      ...(derived === undefined ? {} : { derived }),
      ...(undo === undefined ? {} : { undo }),
      ...(failedWrite === undefined ? {} : { failedWrite }),
      blockers: blockers({ self, all, freezes, maxConcurrent: this.#maxConcurrent }),
      ...(group === undefined ? {} : { group }),
      elapsedMs: this.memory.elapsedMs(key, time.steadyMs),
      nowMs: time.nowMs,
    });
    this.table.decided(self, contenderOf(rollout, decision.status, round));
    this.memory.remember(key, decision.status, time.steadyMs);
    return decision;
  }

  /**
   * Whether the rollout must be undone, given the present state of its group. A refused spec or a missing right of the
   * author does not prevent the undo. `journal`: the facts of the journal, if the round has read it.
   */
  mustPutBack(seen: PutBackSeen, journal?: Pick<JournalCounts, "run">): boolean {
    return asksToPutBack({ ...seen, group: this.groupOf(seen) }, journal);
  }

  groupOf({ rollout, status, companions }: Omit<PutBackSeen, "orders">): GroupView | undefined {
    if (groupName(rollout) === undefined) return undefined;
    const self = contenderOf(rollout, status, { wants: [], heldUp: true });
    return groupView(self, this.#seenBy(self, companions));
  }

  /**
   * All rollouts as this one must see them. A rollout of another namespace that names the same group belongs to the
   * group only if it is a companion, because anybody could use the group's name.
   */
  #seenBy(self: Contender, companions: ReadonlySet<string> | undefined): readonly Contender[] {
    const { all } = this.table;
    if (companions === undefined || self.group === undefined) return all;
    return all.map((other) => {
      if (other.group !== self.group || other.namespace === self.namespace || companions.has(other.key)) return other;
      const { group: _, ...alone } = other;
      return alone;
    });
  }

  /**
   * The freezes that apply to the rollout. While no freezes are known, one may be in force, so no step begins. An undo
   * goes on.
   */
  #freezesFor(rollout: Rollout, freezes: readonly Freeze[] | undefined, nowMs: number): readonly Blocker[] {
    if (freezes === undefined) return [{ reason: "freeze", text: unknownFreezes }];
    const { name = "", namespace, uid } = rollout.metadata;
    const kind = isMeshUpgrade(rollout) ? "MeshUpgrade" : "Canary";
    return this.#calendar.inForce(freezes, { kind, namespace, name, uid }, nowMs);
  }
}
