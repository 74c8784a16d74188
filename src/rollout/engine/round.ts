import type { Clock, Logger } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Freeze, JournaledObjects, RolloutStatus } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { AuthorRights } from "../access/index.ts";
import type { JournalStore } from "../act/journal-store.ts";
import { initialStatus, type GroupView, type RolloutOrders } from "../decide/index.ts";
import type { LostMove, LostValues } from "../observe/lost-journal/lost-values.ts";
import type { Observer } from "../observe/observer.ts";
import type { Actions } from "./actions.ts";
import type { EngineMetrics } from "./engine-metrics.ts";
import type { OrphanedJournals } from "./orphaned-journals.ts";
import type { Planner } from "./planner.ts";
import { ordersOf, ordersOfRefused, parseRollout, strayProblem, type Rollout } from "./rollout-object.ts";
import type { RoundBoard } from "./round-board.ts";

export interface RoundServices {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly journals: JournalStore;
  readonly observer: Observer;
  readonly planner: Planner;
  readonly actions: Actions;
  readonly metrics: EngineMetrics;
  readonly board: RoundBoard;
  readonly orphans: OrphanedJournals;
  readonly lostValues: (lost: JournaledObjects, move: LostMove) => Promise<LostValues>;
  /**
   * Whether the API server confirms that this engine leads, and that the server's storage was not restored from a
   * backup.
   */
  readonly confirmsLead: () => Promise<boolean>;
  /** Checks the rights of a rollout's author. If undefined, the engine's own rights suffice. */
  readonly rights: AuthorRights | undefined;
  readonly freezes: () => readonly Freeze[] | undefined;
  /** The object as the informers know it, which may be stale. */
  readonly watched: (kind: string, key: string) => Rollout | undefined;
  /** Requests a round of another rollout. */
  readonly wake: (key: string) => void;
  /** The processor time of this thread so far. If absent, the system's figure is used. */
  readonly busyMs?: () => number;
}

export interface SeenRollout {
  readonly key: string;
  readonly raw: Rollout;
  /** The parsed object, or the stored one if the parser refuses it. */
  readonly rollout: Rollout;
  readonly status: RolloutStatus;
  readonly orders: RolloutOrders;
  /** The fault of the spec. */
  readonly problem: string | undefined;
}

export interface Round extends SeenRollout {
  /** The members that `companionsOf` of author-reach.ts returns. */
  readonly companions: ReadonlySet<string> | undefined;
  /** The group as it is at the beginning of the round. */
  readonly group: GroupView | undefined;
}

export function seenRollout(key: string, raw: Rollout, memory: RoundBoard["memory"]): SeenRollout {
  const parsed = parseRollout(raw);
  const status = memory.withProgress(key, { ...initialStatus, ...raw.status });
  if ("problem" in parsed)
    return { key, raw, rollout: raw, status, orders: ordersOfRefused(raw), problem: parsed.problem };
  return {
    key,
    raw,
    rollout: parsed.rollout,
    status,
    orders: ordersOf(parsed.rollout, raw as unknown as UntypedObject),
    problem: strayProblem(parsed.rollout, raw as unknown as UntypedObject, status),
  };
}

export function showPhase(metrics: EngineMetrics, key: string, phase: RolloutStatus["phase"]): void {
  const [kind = "", name = ""] = key.split(" ");
  const [first = "", second] = name.split("/");
  metrics.phase(kind, second === undefined ? "" : first, second ?? first, phase);
}
