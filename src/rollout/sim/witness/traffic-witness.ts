import { invariant } from "../../../base/index.ts";
import type { RolloutStatus } from "../../../api/serin/index.ts";
import type { Step } from "../../decide/index.ts";
import { lostPodsLimitMs } from "../../decide/checks/lost-pods.ts";
import { journalNameOf } from "../../engine/journal-name.ts";
import { makesRoutes, objectsOf, plainCanary, routePointer } from "../canary-shape.ts";
import type { ModelCluster } from "../model-cluster.ts";
import { calmFromTick, tickMs, type Scenario, type SimRollout } from "../scenario.ts";
import { keyOf, rolloutObject } from "../sim-plan.ts";
import type { SimStore } from "../sim-store.ts";

/** Disturbances that change the Services, subsets or pods of a Canary. */
const ofServices = ["changeSelector", "dropSubset", "drain", "scaleToZero"] as const;

/** Checks that canaries get no more requests than their steps allow, and that every request is served. */
export class TrafficWitness {
  readonly #scenario: Scenario;
  readonly #cluster: ModelCluster;
  readonly #store: SimStore;
  /** By rollout whose canary is being measured: when the canary lost its pods. */
  readonly #lostSinceMs = new Map<string, number>();
  /** By rollout: the highest share of requests that its canary has been allowed to get. */
  readonly #allowed = new Map<string, number>();

  constructor(scenario: Scenario, cluster: ModelCluster, store: SimStore) {
    this.#scenario = scenario;
    this.#cluster = cluster;
    this.#store = store;
  }

  backup(): () => void {
    const before = new Map(this.#allowed);
    return () => {
      for (const [name, share] of before) this.#allowed.set(name, Math.max(share, this.#allowed.get(name) ?? 0));
    };
  }

  /** Allows the weight of the step that has begun or goes on. */
  decided(sim: SimRollout, { step }: RolloutStatus, steps: readonly Step[]): void {
    const weight = steps.find(({ id }) => id === step?.id)?.weight ?? 0;
    this.#allowed.set(sim.name, Math.max(weight, this.#allowed.get(sim.name) ?? 0));
  }

  /** Begins a run. Its canary may keep the share that it has, or will have when the proxies know the present routes. */
  started(sim: SimRollout): void {
    const { traffic } = this.#cluster;
    this.#allowed.set(sim.name, Math.max(traffic.canaryShare(sim) ?? 0, traffic.dueShare(sim) ?? 0));
  }

  /**
   * Allows the share that another writer has just given the canary, even if that is more than the run has allowed so
   * far.
   */
  meddled(sim: SimRollout): void {
    const share = this.#cluster.traffic.dueShare(sim) ?? 0;
    this.#allowed.set(sim.name, Math.max(share, this.#allowed.get(sim.name) ?? 0));
  }

  /** Checks that the proxies use the weight of a settled step, unless another writer has changed it since. */
  hasSettled(sim: SimRollout, step: Step | undefined): void {
    const route = this.#cluster.find(objectsOf(sim).route);
    if (sim.kind !== "Canary" || step?.weight === undefined || route === undefined) return;
    if (route.writers.get(routePointer(sim)) === "somebody" || this.#did("rewrite", sim)) return;
    // These disturbances excuse other shares. If requests reach no pod anyway, the engine may change the route, and
    // somebody may remove a subset after the route was written.
    if (this.#did("changeSelector", sim) || this.#did("dropSubset", sim)) return;
    // After a restore, the model's proxies may know a route without its grants. A real control plane that starts sends
    // both together.
    if (this.#cluster.traffic.isStale) return;
    const share = this.#cluster.traffic.canaryShare(sim);
    invariant(
      share === step.weight,
      `${keyOf(sim)} counts ${step.id} as settled, and the canary gets ${share ?? 0} % of the requests`,
    );
  }

  everyTick(): void {
    this.#noticesLostPods();
    for (const sim of this.#scenario.rollouts) {
      if (sim.kind !== "Canary" || this.#cluster.endedNamespaces.has(sim.namespace)) continue;
      this.#isServed(sim);
      this.#isWithinBounds(sim);
    }
  }

  /** Checks that every request reaches a pod, unless somebody else has taken the pods or the routes away. */
  #isServed(sim: SimRollout): void {
    const reason = this.#cluster.traffic.unserved.get(sim.name);
    if (this.#cluster.traffic.isStale) return;
    const excuses = ["losePods", "resumeApp", "vanish", "loseRoute", "remakeApp", ...ofServices] as const;
    // Another writer may send requests to a version that its owner has stopped.
    const theirs = ["meddle", "selfHeal", "theirs", "rewrite"] as const;
    if (sim.retiresStable === true && theirs.some((type) => this.#did(type, sim))) return;
    if (reason === undefined || excuses.some((type) => this.#did(type, sim))) return;
    throw new Error(`${keyOf(sim)}: ${reason}`);
  }

  /** Checks that the canary never gets more than its steps have allowed so far. */
  #isWithinBounds(sim: SimRollout): void {
    const { canary: shape = plainCanary } = sim;
    const share = this.#cluster.traffic.canaryShare(sim) ?? 0;
    const allowed = this.#allowed.get(sim.name) ?? (makesRoutes(shape) ? 0 : share);
    // Without its route, the Service sends requests to all pods alike. With the other excuses, the share may come from
    // an earlier run, which the witness has not recorded.
    const excuses = ["rewrite", "loseRoute", "remakeApp", "changeSelector", "dropSubset"];
    const isTheirs = excuses.some((type) => this.#did(type, sim));
    if (isTheirs || this.#cluster.traffic.isStale) return;
    invariant(
      share <= allowed,
      `${keyOf(sim)}: the canary gets ${share} % of the requests, at most ${allowed} % may be`,
    );
  }

  #did(type: string, sim: SimRollout): boolean {
    const { rollouts, disturbances, lasting } = this.#scenario;
    const { guest, guestOf } = sim.canary ?? {};
    const isIt = (rollout: number): boolean => {
      const other = rollouts[rollout];
      return other === sim || (other !== undefined && (other.name === guest || other.name === guestOf));
    };
    return (
      (lasting?.type === type && isIt(lasting.rollout)) ||
      disturbances.some((other) => other.type === type && "rollout" in other && isIt(other.rollout))
    );
  }

  /** Checks that no rollout goes on measuring a canary that has lost its pods. */
  #noticesLostPods(): void {
    const { nowMs, traffic } = this.#cluster;
    for (const sim of this.#scenario.rollouts) {
      const { phase = "Planned", weight = 0 } = this.#store.read(keyOf(sim))?.status ?? {};
      const measures = (phase === "Judging" || phase === "Soaking") && weight > 0;
      // Without its journal, the engine cannot examine the pods. Its status reports that instead, after a minute.
      const isBlind = this.#store.editedJournals.has(journalNameOf(rolloutObject(sim, "")));
      if (!measures || isBlind || !traffic.lostPods.has(sim.name) || nowMs < calmFromTick * tickMs)
        this.#lostSinceMs.delete(sim.name);
      else if (!this.#lostSinceMs.has(sim.name)) this.#lostSinceMs.set(sim.name, nowMs);
      const forMs = nowMs - (this.#lostSinceMs.get(sim.name) ?? nowMs);
      invariant(forMs <= 2 * lostPodsLimitMs, `${keyOf(sim)} is ${phase} without a pod of the canary for ${forMs} ms`);
    }
  }
}
