// Runs rollouts without a pause. It completes a Canary or a MeshUpgrade, undoes it, and begins the next one.
import type { KindDefinition, UntypedObject } from "../../src/api/index.ts";
import {
  canaryKind,
  meshUpgradeKind,
  type Canary,
  type MeshUpgrade,
  type RolloutPhase,
  type RolloutStatus,
} from "../../src/api/serin/index.ts";
import { messageOf } from "../../src/base/index.ts";
import { appCanary } from "../proofs/upgrade-proof/app-canary.ts";
import { namespaces } from "../proofs/upgrade-proof/load-plans.ts";
import { upgradeObject } from "../proofs/upgrade-proof/mesh-upgrade.ts";
import { revisions, seconds } from "../proofs/upgrade-proof/proof.ts";
import { inTime, untilDone, type Chaos } from "./chaos.ts";
import { doubled, tag } from "./stage.ts";

const lookEveryMs = 500;
/** The time limit of one read of a status, or of one attempt of a command. */
const orderLimitMs = 20_000;
/** The time limit of one rollout, forward or back, while faults go on. */
const endsWithinMs = 600_000;
/** How long a failing command is repeated, because the API server may be down. */
const takenWithinMs = 60_000;
/** The time before the last fault that a MeshUpgrade needs. If less is left, Canaries run. */
const upgradeTakesMs = 150_000;
/** How often a note reports what a rollout waits for. */
const noteEveryMs = 15_000;
/**
 * The weights of a Canary's steps. The load is small, so with steps of 10 % the Canary would mostly wait for requests.
 */
const weights = [50, 100];
const checks = [{ type: "request-success-rate", minSamples: 20, timeoutSeconds: 300 }];
const ends: readonly RolloutPhase[] = ["Completed", "RolledBack", "Stuck"];

export interface RolloutCounts {
  /** The number of Canaries and MeshUpgrades that were begun. */
  readonly rollouts: number;
  /** Rollouts that did not end in time, or that ended without saying who must do what. */
  readonly unended: readonly string[];
}

export class EndlessRollouts {
  readonly #chaos: Chaos;
  readonly #unended: string[] = [];
  #rollouts = 0;
  /** The current rollout, with its last message. */
  #now: string | undefined;
  #revision: string = revisions.old;

  constructor(chaos: Chaos) {
    this.#chaos = chaos;
  }

  get counts(): RolloutCounts {
    const now = this.#now === undefined ? [] : [`still under way: ${this.#now}`];
    return { rollouts: this.#rollouts, unended: [...this.#unended, ...now] };
  }

  /**
   * Starts rollouts until the signal aborts, which happens at `lastFaultMs` of the steady clock. The current rollout
   * may end later.
   */
  async run(over: AbortSignal, lastFaultMs: number): Promise<void> {
    const { proof, clock } = this.#chaos;
    let wasCanary = false;
    for (let number = 1; !over.aborted; number += 1) {
      const kind = nextRollout(wasCanary, lastFaultMs - clock.steadyMs());
      wasCanary = kind === "Canary";
      try {
        if (wasCanary) await this.#canary(`canary-${number}`, over);
        else await this.#upgrade(`upgrade-${number}`);
      } catch (error) {
        // Keep the name of the current rollout for the report at the run's end.
        if (proof.signal.aborted) return;
        this.#unended.push(messageOf(error));
        proof.note(`NOT ENDED ${messageOf(error)}`);
        this.#now = undefined;
      }
    }
  }

  async #canary(name: string, over: AbortSignal): Promise<void> {
    const { lab } = this.#chaos.proof;
    await this.#order(`creating Canary ${name}`, async () => await lab.api.apply([appCanary(name, checks, weights)]));
    this.#rollouts += 1;
    const forth = await this.#toItsEnd(canaryKind, name, namespaces.shop);
    if (forth?.phase === "RolledBack" || over.aborted) return;
    const undo = ["canary", "undo", name, "-n", namespaces.shop];
    await this.#order(`undoing Canary ${name}`, async () => await lab.serin(undo));
    await this.#toItsEnd(canaryKind, name, namespaces.shop, ["RolledBack", "Stuck"]);
  }

  async #upgrade(name: string): Promise<void> {
    const { proof } = this.#chaos;
    const from = this.#revision;
    const to = from === revisions.old ? revisions.new : revisions.old;
    const upgrade: UntypedObject = upgradeObject(proof, { name, from, to, version: tag });
    await this.#order(`creating MeshUpgrade ${name}`, async () => await proof.lab.api.apply([upgrade]));
    this.#rollouts += 1;
    const status = await this.#toItsEnd(meshUpgradeKind, name);
    if (status?.phase === "Completed") {
      this.#revision = to;
      await this.#order(`scaling istiod-${to}`, async () => await doubled(proof, `istiod-${to}`));
    }
    if (status?.phase !== "Stuck" && status !== undefined) return;
    const rollback = ["upgrade", "rollback", name];
    await this.#order(`putting MeshUpgrade ${name} back`, async () => await proof.lab.serin(rollback));
    await this.#toItsEnd(meshUpgradeKind, name, undefined, ["RolledBack"]);
  }

  /** Waits for the rollout to end. Returns undefined if it did not end in time. */
  async #toItsEnd<Value extends Canary | MeshUpgrade>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
    until: readonly RolloutPhase[] = ends,
  ): Promise<RolloutStatus | undefined> {
    const { proof, clock } = this.#chaos;
    const begunMs = clock.steadyMs();
    let noted = "";
    let notedAtMs = 0;
    let last: RolloutStatus | undefined;
    this.#now = `${kind.kind} ${name}`;
    while (clock.steadyMs() - begunMs < endsWithinMs) {
      last = (await this.#statusOf(kind, name, namespace)) ?? last;
      if (last !== undefined && until.includes(last.phase)) break;
      const now = last === undefined ? "" : `${last.phase}, step ${last.progress}`;
      this.#now = `${kind.kind} ${name}: ${now}: ${last?.message ?? ""}`;
      if (now !== noted || clock.steadyMs() - notedAtMs > noteEveryMs) {
        proof.note(`  ${this.#now}`);
        notedAtMs = clock.steadyMs();
      }
      noted = now;
      await clock.sleep(lookEveryMs, proof.signal);
    }
    this.#now = undefined;
    const duration = seconds(clock.steadyMs() - begunMs);
    const ended = last !== undefined && until.includes(last.phase);
    const words = `${kind.kind} ${name}: ${last?.phase ?? "no status"} after ${duration}: ${last?.cause ?? last?.message ?? ""}`;
    const namesActor = last?.phase !== "Stuck" || (last.message !== "" && last.pauseReason !== undefined);
    if (!ended || !namesActor) this.#unended.push(words);
    proof.note(ended ? words : `NOT ENDED ${words}`);
    return ended ? last : undefined;
  }

  /** Returns the rollout's status, or undefined if the API server does not answer. */
  async #statusOf<Value extends Canary | MeshUpgrade>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<RolloutStatus | undefined> {
    const { proof } = this.#chaos;
    const { client } = proof.lab.api;
    const ask = async (): Promise<Value | undefined> => await client.get(kind, name, namespace);
    try {
      return (await inTime(name, orderLimitMs, ask, proof.signal))?.status;
    } catch {
      proof.signal.throwIfAborted();
      return undefined;
    }
  }

  /** Runs a command, and repeats it while it fails. Throws the last error after `takenWithinMs`. */
  async #order(title: string, order: () => Promise<unknown>): Promise<void> {
    const { proof, clock } = this.#chaos;
    let last: unknown;
    this.#now = title;
    const again = async (): Promise<void> => {
      try {
        await inTime(title, orderLimitMs, order, proof.signal);
      } catch (error) {
        last = error;
        throw error;
      }
    };
    try {
      await inTime(
        title,
        takenWithinMs,
        async (signal) => await untilDone(clock, signal, again, lookEveryMs),
        proof.signal,
      );
    } catch (error) {
      throw new Error(`${title}: ${messageOf(last ?? error)}`, { cause: error });
    }
    this.#now = undefined;
  }
}

/** Canaries and MeshUpgrades take turns, as long as enough time for a MeshUpgrade is left. */
export function nextRollout(wasCanary: boolean, leftMs: number): "Canary" | "MeshUpgrade" {
  return wasCanary && leftMs >= upgradeTakesMs ? "MeshUpgrade" : "Canary";
}
