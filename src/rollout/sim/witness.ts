import { invariant, jsonEqualWithoutNulls } from "../../base/index.ts";
import {
  hasUndoFinalizer,
  isRestingPhase,
  type Freeze,
  type ObjectReference,
  type RolloutStatus,
} from "../../api/serin/index.ts";
import {
  allDone,
  cannotGoOn,
  isUnderWay,
  journalCounts,
  nextOrdinalOf,
  referenceKey,
  windowState,
  type Decision,
  type Step,
} from "../decide/index.ts";
import { essenceOf, storeTextsMs } from "../engine/round-memory.ts";
import { journalNameOf } from "../engine/journal-name.ts";
import { type Rollout } from "../engine/rollout-object.ts";
import { happens, isAllowedCause } from "./allowed-cause.ts";
import { routeKey } from "./canary-traffic.ts";
import type { ModelCluster } from "./model-cluster.ts";
import { calmFromTick, minSamples, tickMs, type Scenario, type SimRollout } from "./scenario.ts";
import { ownsObject, rolloutObject } from "./sim-plan.ts";
import { probeNamespace } from "../plan/index.ts";
import { atTheEnd } from "./end-witness.ts";
import { gatewayPods } from "./mesh-model.ts";
import { engineWriter } from "./model-object.ts";
import { gatewayObjects, isBroken, podRev, restartPointer } from "./sim-mesh.ts";
import type { SimStore } from "./sim-store.ts";
import {
  differencesOf,
  snapshotOf,
  withoutUnprepared,
  withoutWeights,
  withWritten,
  type Snapshot,
} from "./snapshot.ts";
import { TrafficWitness } from "./traffic-witness.ts";

/** A tolerance, because a round may pause for a few ticks between reading and storing. */
const slackMs = 20 * tickMs;

const minuteMs = 60_000;
const maxRepetitions = 20;
/** A decision that an engine has stored, with the plan from which it comes. */
export interface Decided {
  readonly key: string;
  readonly rollout: Rollout;
  readonly decision: Decision;
  readonly before: RolloutStatus;
  readonly steps: readonly Step[];
}

interface Surroundings {
  readonly wallMs: number;
  readonly freezes: readonly Freeze[];
}

interface Seen {
  sim: SimRollout;
  /** The state of its objects before the run. */
  baseline: Snapshot;
  /** The state of its objects before the preparation of its target. */
  unprepared: Snapshot;
  /** The state before a run whose changes were to stay, until another run starts. */
  unforgotten?: Snapshot | undefined;
  deleted: boolean;
  startedAtMs: number;
  settled: Map<string, number>;
  last: RolloutStatus | undefined;
  /** Whether the object had the finalizer when it was last read. */
  kept: boolean;
  /** When the status was last written only to update texts and counters. */
  toldAtMs: number;
  /** The times in the last minute at which the engine wrote for this step again. */
  repeated: { readonly step: string; readonly atMs: readonly number[] };
}

/** Checks the invariants of a simulation. */
export class Witness {
  readonly #scenario: Scenario;
  readonly #cluster: ModelCluster;
  readonly #store: SimStore;
  readonly #seen = new Map<string, Seen>();
  #freezeSinceMs: number | undefined;
  readonly #lostGateways = new Set<string>();
  /** The keys of objects that somebody made again during an undo. */
  readonly #madeInUndo = new Set<string>();
  /** The keys of objects that Canaries have made, and somebody has deleted. */
  readonly #lostMade = new Set<string>();
  readonly #traffic: TrafficWitness;

  constructor(scenario: Scenario, cluster: ModelCluster, store: SimStore) {
    this.#scenario = scenario;
    this.#cluster = cluster;
    this.#store = store;
    this.#traffic = new TrafficWitness(scenario, cluster, store);
  }

  decided(
    { key, rollout, decision: { actions, status }, before, steps }: Decided,
    { wallMs, freezes }: Surroundings,
  ): void {
    const seen = this.#seenOf(key, rollout);
    this.#freezeSinceMs = isFrozen(freezes, wallMs) ? (this.#freezeSinceMs ?? this.#cluster.nowMs) : undefined;
    for (const action of actions) {
      // From now on, the changes of an ended run belong to the state before the next one.
      if (action.type === "forget") {
        seen.unforgotten ??= seen.baseline;
        seen.baseline = this.#snapshot(seen.sim);
      }
      if (action.type !== "event") continue;
      if (action.reason === "StepStarted") this.#begun(key, rollout, status);
      if (action.reason === "Started") {
        seen.startedAtMs = this.#cluster.nowMs;
        seen.baseline = this.#snapshot(seen.sim);
        seen.unforgotten = undefined;
        this.#traffic.started(seen.sim);
      }
      const evidence = action.evidence ?? [];
      if (action.reason === "StepDone") this.#stepDone(seen, { key, rollout, status, steps }, evidence);
    }
    this.#traffic.decided(seen.sim, status, steps);
    this.#isWorthWriting(key, seen, rollout.status, status, actions.length);
    if (actions.some(({ type }) => type === "write")) this.#isPatient(key, seen, rollout.status, status);
    const { step } = status;
    if (step?.settledAt !== undefined && before.step?.settledAt === undefined) {
      // A step whose route somebody has changed settles again, and keeps the time that it was settled before.
      seen.settled.set(`${status.run ?? 0} ${step.id}`, this.#cluster.nowMs - (step.settledForMs ?? 0));
      this.#traffic.hasSettled(
        seen.sim,
        steps.find(({ id }) => id === step.id),
      );
    }
    if (status.phase === "RolledBack" && before.phase !== "RolledBack") this.#putBack(key, seen, status);
    if (status.phase === "Completed" && before.phase !== "Completed") this.#completed(key, seen, rollout, status);
    seen.last = status;
  }

  /** Checks that a waiting rollout updates its status only rarely, and never while a person pauses it. */
  #isWorthWriting(
    key: string,
    seen: Seen,
    stored: RolloutStatus | undefined,
    status: RolloutStatus,
    actions: number,
  ): void {
    if (stored === undefined || actions > 0 || !jsonEqualWithoutNulls(essenceOf(stored), essenceOf(status))) {
      seen.toldAtMs = this.#cluster.nowMs;
      return;
    }
    invariant(status.phase !== "Paused", `${key} wrote its status while it was paused: ${status.message}`);
    invariant(
      status.phase !== "Stuck" || status.undo !== undefined || stored.message !== status.message,
      `${key} wrote its status while a person must act, and said the same: ${status.message}`,
    );
    const sinceMs = this.#cluster.nowMs - seen.toldAtMs;
    // A failure of rounds is reported at most once a minute. Their recovery is reported at once.
    if (stored.message.includes(cannotGoOn) && !status.message.includes(cannotGoOn)) return;
    // At rest, another text is the only news.
    if (isRestingPhase(status.phase) && stored.message !== status.message) return;
    invariant(sinceMs >= storeTextsMs, `${key} wrote its status ${sinceMs} ms after the last time: ${status.message}`);
    seen.toldAtMs = this.#cluster.nowMs;
  }

  /**
   * Checks, after all disturbances, that a failing write is repeated only rarely, although each repetition starts
   * another round. Before that time, engines are killed and start again.
   */
  #isPatient(key: string, seen: Seen, stored: RolloutStatus | undefined, status: RolloutStatus): void {
    if (stored === undefined || !jsonEqualWithoutNulls(essenceOf(stored), essenceOf(status))) return;
    const nowMs = this.#cluster.nowMs;
    if (nowMs < calmFromTick * tickMs) return;
    const step = status.step?.id ?? "";
    const before = seen.repeated.step === step ? seen.repeated.atMs.filter((atMs) => nowMs - atMs < minuteMs) : [];
    seen.repeated = { step, atMs: [...before, nowMs] };
    const count = seen.repeated.atMs.length;
    invariant(count <= maxRepetitions, `${key} wrote the same ${count} times in a minute: ${status.message}`);
  }

  #begun(key: string, rollout: Rollout, status: RolloutStatus): void {
    const forLong = this.#freezeSinceMs !== undefined && this.#cluster.nowMs - this.#freezeSinceMs > slackMs;
    invariant(!forLong, `${key} began ${status.step?.id ?? ""} in a freeze`);
    this.#isAhead(key, status);
    const ordinal = status.plannedSteps?.find(({ id }) => id === status.step?.id)?.ordinal;
    const { group } = rollout.spec;
    if (ordinal === undefined || group === undefined) return;
    for (const other of this.#store.keys) {
      const partner = this.#store.read(other);
      if (
        other === key ||
        partner === undefined ||
        partner.spec.group !== group ||
        partner.status === undefined ||
        !isUnderWay(partner.status)
      )
        continue;
      if (partner.status.phase === "RollingBack" || partner.status.undo !== undefined) continue;
      if (this.#cluster.nowMs - (this.#seen.get(other)?.startedAtMs ?? 0) < slackMs) continue;
      const behind = nextOrdinalOf(partner.status);
      invariant(
        behind === undefined || behind >= ordinal,
        `${key} began step ${ordinal} while ${other} of its group was at ${behind ?? 0}`,
      );
    }
  }

  /**
   * Checks that no upgrade goes back to pods whose namespaces have moved, or to a gateway whose canary has left, and
   * that it moves nothing after the retirement.
   */
  #isAhead(key: string, { completedSteps, step }: RolloutStatus): void {
    const done = new Set(completedSteps.map(({ id }) => id));
    const [, gateway] = /^(gateway\/[^/]+\/[^/]+)\//.exec(step?.id ?? "") ?? [];
    const [, wave] = /^([^/]+)\/ztunnel-\d+$/.exec(step?.id ?? "") ?? [];
    invariant(
      !done.has(`${gateway ?? ""}/done`) && !done.has(`${wave ?? ""}/adopt`),
      `${key} goes back to ${step?.id ?? ""}`,
    );
    const isLate = done.has("retire") && !/^(rights|drain)$/.test(step?.id ?? "");
    invariant(!isLate, `${key} begins ${step?.id ?? ""} after the old revision was retired`);
  }

  #stepDone(
    seen: Seen,
    { key, rollout, status, steps }: Pick<Decided, "key" | "rollout" | "steps"> & { readonly status: RolloutStatus },
    evidence: readonly string[],
  ): void {
    const id = status.completedSteps.at(-1)?.id ?? "";
    const planned = steps.find((step) => step.id === id);
    // The preparation of a target stays after an undo, so it belongs to the state before the run.
    if (planned?.setup === true) seen.baseline = withWritten(seen.baseline, this.#snapshot(seen.sim), planned);
    const overruled =
      rollout.spec.fullPromotion !== undefined || evidence.some((text) => /^approved by .* despite this/.test(text));
    if (planned === undefined || overruled) return;
    if (planned.checks.length > 0 && seen.sim.kind === "Canary") {
      const samples = Number(/canary \d+ of (\d+) failed/.exec(evidence.join("; "))?.[1] ?? 0);
      invariant(samples >= minSamples, `${key} ${id} passed on ${samples} samples: ${evidence.join("; ")}`);
    }
    const holdMs = Math.max(planned.holdMs ?? 0, planned.pause?.durationMs ?? 0);
    const heldMs = this.#cluster.nowMs - (seen.settled.get(`${status.run ?? 0} ${id}`) ?? 0);
    invariant(heldMs >= holdMs - slackMs, `${key} ${id} was held for ${heldMs} ms of ${holdMs}`);
  }

  #putBack(key: string, seen: Seen, status: RolloutStatus): void {
    // After a deletion only the preparation of the target is undone, and the changes of the run stay.
    const isLeftover = status.cause?.includes("journal still has entries") === true;
    const isDeleted = this.#store.read(key)?.metadata.deletionTimestamp !== undefined;
    const isUndoneWhole = seen.sim.watched && (isDeleted || isLeftover);
    if (status.cause !== "the object was deleted")
      this.#isAsBefore(
        key,
        isUndoneWhole ? { ...seen, baseline: seen.unprepared } : seen,
        `rolled back (${status.cause ?? ""})`,
      );
    if (seen.sim.kind === "MeshUpgrade") this.#isAtRest(key, seen.sim, status);
    isAllowedCause(this.#scenario, { key, sim: seen.sim, cause: status.cause ?? "" });
  }

  /** Checks that an upgrade is rolled back only when the workloads that it has restarted have their pods again. */
  #isAtRest(key: string, sim: SimRollout, { undo }: RolloutStatus): void {
    const nowMs = this.#cluster.nowMs;
    const late = [...this.#cluster.objects.values()].find(
      ({ reference, readyAtMs, writers }) =>
        nowMs < readyAtMs &&
        !isBroken(reference) &&
        ownsObject(sim, reference) &&
        !this.#hasEnded(reference.namespace) &&
        [restartPointer, podRev].some((pointer) => writers.get(pointer) === engineWriter),
    );
    invariant(
      late === undefined,
      `${key} is rolled back while ${late?.reference.name ?? ""} starts (${undo?.elapsedMs ?? 0} ms)`,
    );
  }

  #isAsBefore(key: string, seen: Seen, why: string): void {
    const { entries = [] } = this.#store.writtenJournal(journalNameOf(rolloutObject(seen.sim, ""))) ?? {};
    const [now, before] = this.#withoutVanished(
      ...withoutUnprepared([this.#snapshot(seen.sim), seen.baseline], entries, seen.last?.completedSteps ?? []),
    );
    const differences = differencesOf(before, now);
    invariant(differences.length === 0, `${key} ${why}, and differs: ${differences.join("; ")}`);
  }

  /**
   * Both snapshots without a route that somebody has deleted meanwhile, without weights if a webhook changes them, and
   * without what somebody made again during an undo, or has deleted although a Canary has made it. A deleted upgrade
   * may have left its probes, which the next one removes.
   */
  #withoutVanished(current: Snapshot, former: Snapshot): readonly [Snapshot, Snapshot] {
    const kept = Object.entries(current).filter(([key]) => key in former || !this.#madeInUndo.has(key));
    const found = Object.entries(former).filter(([key]) => key in current || !key.includes(`/${probeNamespace}/`));
    const [now, before] = [Object.fromEntries(kept), Object.fromEntries(found)].map((snapshot) =>
      this.#withoutEnded(Object.fromEntries(Object.entries(snapshot).filter(([key]) => !this.#lostMade.has(key)))),
    ) as [Snapshot, Snapshot];
    const [left, right] = happens(this.#scenario, "rewrite")
      ? [withoutWeights(now), withoutWeights(before)]
      : [now, before];
    if (this.#scenario.disturbances.every(({ type }) => type !== "vanish")) return [left, right];
    const shared = (snapshot: Snapshot, other: Snapshot): Snapshot =>
      Object.fromEntries(Object.entries(snapshot).filter(([key]) => key in other || !routeKey.test(key)));
    return [shared(left, right), shared(right, left)];
  }

  /** The snapshot without objects of namespaces that somebody has deleted. */
  #withoutEnded(snapshot: Snapshot): Snapshot {
    const ended = [...this.#cluster.endedNamespaces];
    if (ended.length === 0) return snapshot;
    return Object.fromEntries(
      Object.entries(snapshot).filter(
        ([key]) => !ended.some((name) => key.includes(`/${name}/`) || key.endsWith(`Namespace//${name}`)),
      ),
    );
  }

  #hasEnded(namespace = ""): boolean {
    return this.#cluster.endedNamespaces.has(namespace);
  }

  #completed(key: string, seen: Seen, rollout: Rollout, { completedSteps }: RolloutStatus): void {
    // A template that already runs, because somebody has resumed the Deployment, moves no requests.
    if (!completedSteps.some(({ id }) => id.startsWith("step-"))) return;
    const isEdited = this.#scenario.disturbances.some(({ type }) => type === "edit");
    const excused = rollout.spec.fullPromotion !== undefined || isEdited || seen.sim.kind === "MeshUpgrade";
    invariant(seen.sim.errorRate === 0 || excused, `${key} is bad and completed`);
  }

  /** A new engine does not know what the former one has repeated, so it begins with short intervals again. */
  engineRestarted(): void {
    for (const seen of this.#seen.values()) seen.repeated = { step: "", atMs: [] };
  }

  /** Somebody makes an object again while an undo is under way, which may have passed it already. */
  madeInUndo(object: ObjectReference): void {
    this.#madeInUndo.add(referenceKey(object));
  }

  /** Somebody deletes an object that a Canary has made for its routes. Nothing but a new Canary makes it again. */
  lostMade(object: ObjectReference): void {
    this.#lostMade.add(referenceKey(object));
  }

  /** Somebody deletes the canary of this gateway, which may have no pod until there is another one. */
  lostGateway(name: string): void {
    this.#lostGateways.add(name);
  }

  deleted(key: string): void {
    const seen = this.#seen.get(key);
    if (seen !== undefined) seen.deleted = true;
  }

  /** Records that a new object with the same name exists, which no engine has read yet. */
  recreated(key: string): void {
    const seen = this.#seen.get(key);
    if (seen === undefined) return;
    seen.kept = false;
    // The new object undoes the preparation of the earlier one too.
    if (seen.sim.watched) {
      seen.baseline = seen.unprepared;
      return;
    }
    // The changes of a completed run stay, so they belong to the state before the new object's run.
    const journal = this.#store.writtenJournal(journalNameOf(rolloutObject(seen.sim, "")));
    const { completed = false, run = 0 } = journal === undefined ? {} : journalCounts(journal);
    if (completed) seen.baseline = this.#snapshot(seen.sim);
    // The server has refused to clear the journal of a run whose changes were to stay, so the new object undoes them.
    else if (run > 0) seen.baseline = seen.unforgotten ?? seen.baseline;
  }

  /** A change by another writer belongs to the state before the run, if the run has not written anything yet. */
  meddled(key: string): void {
    const seen = this.#seen.get(key);
    if (seen === undefined) return;
    const { entries = [], decisions = [] } =
      this.#store.writtenJournal(journalNameOf(rolloutObject(seen.sim, ""))) ?? {};
    const isEarlierRun =
      journalCounts({ entries, decisions }).completed && this.#store.read(key)?.status?.startedAt === undefined;
    const written = !isEarlierRun && entries.some((entry) => entry.type === "field" && entry.setup !== true);
    if (!written) seen.baseline = { ...seen.baseline, ...this.#snapshotOf(seen) };
  }

  /** The current state of the objects that existed before the run. */
  #snapshotOf({ sim, baseline }: Seen): Snapshot {
    return Object.fromEntries(Object.entries(this.#snapshot(sim)).filter(([key]) => key in baseline));
  }

  everyTick(): void {
    this.#traffic.everyTick();
    for (const sim of this.#scenario.rollouts)
      for (const gateway of gatewayObjects(sim)) {
        const { stable, canary } = gatewayPods(this.#cluster, gateway);
        if (stable + canary > 0) this.#lostGateways.delete(gateway.name);
        if (this.#lostGateways.has(gateway.name) || this.#hasEnded(gateway.namespace)) continue;
        invariant(stable + canary > 0, `${gateway.kind} ${gateway.name} had no pod that is ready`);
      }
    const present = new Set(this.#store.keys);
    for (const [key, seen] of this.#seen) if (seen.deleted && !present.has(key)) this.#gone(key, seen);
    const rollouts = [...present].flatMap((key) => {
      const rollout = this.#store.read(key);
      const seen = this.#seen.get(key);
      if (seen !== undefined && rollout !== undefined) seen.kept = hasUndoFinalizer(rollout);
      return rollout?.status === undefined ? [] : [{ key, rollout, status: rollout.status }];
    });
    const moving = rollouts.filter(
      ({ status }) =>
        isUnderWay(status) && status.undo === undefined && !allDone(status) && status.step?.lingers !== true,
    );
    const grouped = moving.filter(({ rollout }) => rollout.spec.group !== undefined).length;
    invariant(
      moving.length - Math.max(0, grouped - 1) <= this.#scenario.maxConcurrent,
      `${moving.length} are under way, ${this.#scenario.maxConcurrent} may be`,
    );
    invariant(
      moving.filter(({ rollout }) => rollout.kind === "MeshUpgrade").length <= 1,
      "two mesh upgrades are under way",
    );
    for (const moved of moving) {
      for (const other of moving) {
        if (
          moved.key >= other.key ||
          (moved.rollout.spec.group !== undefined && moved.rollout.spec.group === other.rollout.spec.group)
        )
          continue;
        const shared = (moved.status.namespaces ?? []).find((name) => other.status.namespaces?.includes(name) === true);
        invariant(shared === undefined, `${moved.key} and ${other.key} both hold namespace ${shared ?? ""}`);
      }
    }
  }

  #gone(key: string, seen: Seen): void {
    this.#seen.delete(key);
    if (!seen.kept) return;
    const journal = this.#store.writtenJournal(journalNameOf(rolloutObject(seen.sim, "")));
    const left = seen.last?.phase === "Completed" ? [] : (journal?.entries ?? []);
    invariant(left.length === 0, `${key} is gone, and its journal holds entries`);
    const app = [...this.#cluster.objects.values()].find(({ reference }) => reference.name === `app-${seen.sim.name}`);
    invariant(app?.fields.get("/spec/paused") === undefined, `${key} is gone, and its target is still held`);
    const wasMoving = seen.last !== undefined && isUnderWay(seen.last);
    if (!wasMoving || seen.sim.onDeletion !== "Rollback") return;
    // The deletion undoes the preparation of the target too.
    const before = seen.sim.watched ? { ...seen, baseline: seen.unprepared } : seen;
    this.#isAsBefore(key, before, "was deleted under way");
  }

  atTheEnd(): void {
    atTheEnd({ scenario: this.#scenario, cluster: this.#cluster, store: this.#store });
  }

  #seenOf(key: string, { metadata }: Rollout): Seen {
    const known = this.#seen.get(key);
    if (known !== undefined) return known;
    const sim = this.#scenario.rollouts.find(({ name }) => name === metadata.name);
    invariant(sim !== undefined, `${key} is of no scenario`);
    const seen: Seen = {
      sim,
      baseline: this.#snapshot(sim),
      unprepared: this.#snapshot(sim),
      deleted: metadata.deletionTimestamp !== undefined,
      startedAtMs: 0,
      settled: new Map(),
      last: undefined,
      kept: false,
      toldAtMs: Number.NEGATIVE_INFINITY,
      repeated: { step: "", atMs: [] },
    };
    this.#seen.set(key, seen);
    return seen;
  }

  #snapshot(sim: SimRollout): Snapshot {
    return snapshotOf(this.#cluster, sim);
  }
}

function isFrozen(freezes: readonly Freeze[], nowMs: number): boolean {
  return freezes.some(({ spec }) => spec.windows.some((window) => windowState(window, "UTC", nowMs).holds));
}
