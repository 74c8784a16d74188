import { type Freeze, type ObjectReference, type RolloutStatus, hasUndoFinalizer } from "../../../api/serin/index.ts";
import { invariant } from "../../../base/index.ts";
import {
  isRefusedAfterEnd,
  isUnderWay,
  journalCounts,
  nextOrdinalOf,
  referenceKey,
  windowState,
} from "../../decide/index.ts";
import { journalNameOf } from "../../engine/journal-name.ts";
import type { Rollout } from "../../engine/rollout-object.ts";
import { probeNamespace } from "../../plan/index.ts";
import { isAllowedCause } from "./allowed-cause.ts";
import { comparable } from "./comparable-snapshots.ts";
import { isWithinLimits } from "./contention-witness.ts";
import type { Decided } from "./decided.ts";
import { atTheEnd } from "./end-witness.ts";
import { gatewaysHaveTheirPods } from "./gateway-witness.ts";
import { gatewayPods } from "../mesh-model.ts";
import type { ModelCluster } from "../model-cluster.ts";
import { labelledByPeople } from "../people/relabelling.ts";
import { rememberedMap, rememberedSet } from "../remembered.ts";
import { type Scenario, type SimRollout, minSamples, tickMs } from "../scenario.ts";
import { gatewayObjects } from "../sim-mesh.ts";
import { ownsObject, rolloutObject } from "../sim-plan.ts";
import type { SimStore } from "../sim-store.ts";
import { type Snapshot, differencesOf, snapshotOf, withWritten, withoutUnprepared } from "./snapshot.ts";
import { hasItsPods, noteRestarts } from "./restarts.ts";
import { StatusWitness } from "./status-witness.ts";
import { TrafficWitness } from "./traffic-witness.ts";
import { unrestoredKeys } from "./unrestored.ts";

/** A tolerance of times, because a round may pause for a few ticks between reading and storing. */
const slackMs = 20 * tickMs;

interface Surroundings {
  readonly wallMs: number;
  readonly freezes: readonly Freeze[];
}

interface Seen {
  sim: SimRollout;
  baseline: Snapshot;
  unprepared: Snapshot;
  /** The state before a completed run, until another run starts. */
  unforgotten?: Snapshot | undefined;
  deleted: boolean;
  startedAtMs: number;
  settled: Map<string, number>;
  /** The keys of the workloads that the run has restarted. */
  restarted: Set<string>;
  last: RolloutStatus | undefined;
  kept: boolean;
}

/** Checks the invariants of a simulation. Its methods throw if one is violated. */
export class Witness {
  readonly #scenario: Scenario;
  readonly #cluster: ModelCluster;
  readonly #store: SimStore;
  readonly #seen = new Map<string, Seen>();
  #freezeSinceMs: number | undefined;
  readonly #lostGateways = new Set<string>();
  /** The keys of objects that somebody has made again during an undo. */
  readonly #madeInUndo = new Set<string>();
  /** The keys of objects that a Canary has made for its routes, and somebody has deleted. */
  readonly #lostMade = new Set<string>();
  readonly #traffic: TrafficWitness;
  readonly #statuses: StatusWitness;

  constructor(scenario: Scenario, cluster: ModelCluster, store: SimStore) {
    this.#scenario = scenario;
    this.#cluster = cluster;
    this.#store = store;
    this.#traffic = new TrafficWitness(scenario, cluster, store);
    this.#statuses = new StatusWitness(cluster);
  }

  decided(
    { key, rollout, decision: { actions, status }, before, steps }: Decided,
    { wallMs, freezes }: Surroundings,
  ): void {
    const seen = this.#seenOf(key, rollout);
    this.#freezeSinceMs = isFrozen(freezes, wallMs) ? (this.#freezeSinceMs ?? this.#cluster.nowMs) : undefined;
    if (isNextRun(before, status)) this.#keepChanges(seen);
    for (const action of actions) {
      if (action.type === "journal") noteRestarts(seen.restarted, action.entries);
      if (action.type === "forget") this.#keepChanges(seen);
      if (action.type !== "event") continue;
      if (action.reason === "StepStarted") this.#begun(key, rollout, status);
      if (action.reason === "Started") {
        seen.startedAtMs = this.#cluster.nowMs;
        seen.baseline = this.#snapshot(seen.sim);
        seen.unforgotten = undefined;
        seen.restarted.clear();
        this.#traffic.started(seen.sim);
      }
      const evidence = action.evidence ?? [];
      if (action.reason === "StepDone") this.#stepDone(seen, { key, rollout, status, steps }, evidence);
    }
    this.#traffic.decided(seen.sim, status, steps);
    this.#statuses.isWorthWriting(key, rollout.status, status, actions.length);
    if (actions.some(({ type }) => type === "write")) this.#statuses.isPatient(key, rollout.status, status);
    const { step } = status;
    if (step?.settledAt !== undefined && before.step?.settledAt === undefined) {
      // A step settles again if somebody has changed its route. Its earlier time in the settled state counts too.
      seen.settled.set(`${status.run ?? 0} ${step.id}`, this.#cluster.nowMs - (step.settledForMs ?? 0));
      this.#traffic.hasSettled(
        seen.sim,
        steps.find(({ id }) => id === step.id),
      );
    }
    // A Canary that gets its lost journal back only returns to its earlier phase, so nothing was rolled back now.
    const isBack = before.lostJournal !== undefined && status.lostJournal === undefined;
    const isPutBack = status.phase === "RolledBack" && before.phase !== "RolledBack" && !isBack;
    if (isPutBack) this.#putBack(key, seen, status);
    if (status.phase === "Completed" && before.phase !== "Completed") this.#completed(key, seen, rollout, status);
    seen.last = status;
  }

  /** The changes of an ended run belong to the state before the next run. */
  #keepChanges(seen: Seen): void {
    seen.unforgotten ??= seen.baseline;
    seen.baseline = this.#snapshot(seen.sim);
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
   * Checks that an upgrade never goes back: to pods whose namespaces have moved, to a gateway whose canary is removed,
   * or to any move after the old revision is removed.
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
    // A rollback keeps the preparation of the target, so the preparation belongs to the state before the run.
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
    // A deletion, and the undo of leftover entries, also undo the preparation of a watched target.
    const isLeftover = status.cause?.includes("journal still has entries") === true;
    const isDeleted = this.#store.read(key)?.metadata.deletionTimestamp !== undefined;
    const isUndoneWhole = seen.sim.watched && (isDeleted || isLeftover);
    if (status.cause !== "the object was deleted")
      this.#isAsBefore(
        key,
        { ...seen, last: status, ...(isUndoneWhole ? { baseline: seen.unprepared } : {}) },
        `rolled back (${status.cause ?? ""})`,
      );
    if (seen.sim.kind === "MeshUpgrade") hasItsPods(this.#cluster, key, seen, status);
    isAllowedCause(this.#scenario, { key, sim: seen.sim, cause: status.cause ?? "" });
  }

  #isAsBefore(key: string, seen: Seen, why: string): void {
    const { entries = [] } = this.#store.writtenJournal(journalNameOf(rolloutObject(seen.sim, ""))) ?? {};
    const snapshots = withoutUnprepared(
      [this.#snapshot(seen.sim), seen.baseline],
      entries,
      seen.last?.completedSteps ?? [],
    );
    const [now, before] = comparable(snapshots, {
      scenario: this.#scenario,
      madeInUndo: this.#madeInUndo,
      lostMade: this.#lostMade,
      ended: [...this.#cluster.endedNamespaces],
      unrestored: new Set([
        ...labelledByPeople(this.#cluster),
        ...(seen.last === undefined ? [] : unrestoredKeys(this.#store, seen.sim, seen.last)),
      ]),
    });
    const differences = differencesOf(before, now);
    invariant(differences.length === 0, `${key} ${why}, and differs: ${differences.join("; ")}`);
  }

  #hasEnded(namespace = ""): boolean {
    return this.#cluster.endedNamespaces.has(namespace);
  }

  #completed(key: string, seen: Seen, rollout: Rollout, { completedSteps }: RolloutStatus): void {
    if (seen.sim.kind === "MeshUpgrade") return gatewaysHaveTheirPods(this.#scenario, this.#cluster, seen.sim);
    // Without such a step the run moved no requests: the template ran already, because somebody had resumed the
    // Deployment.
    if (!completedSteps.some(({ id }) => id.startsWith("step-"))) return;
    const isEdited = this.#scenario.disturbances.some(({ type }) => type === "edit");
    const excused = rollout.spec.fullPromotion !== undefined || isEdited;
    invariant(seen.sim.errorRate === 0 || excused, `${key} is bad and completed`);
  }

  backup(): () => void {
    const seen = rememberedMap(this.#seen, (known) => ({
      ...known,
      settled: new Map(known.settled),
      restarted: new Set(known.restarted),
    }));
    const sets = [this.#madeInUndo, this.#lostMade].map((set) => rememberedSet(set));
    const traffic = this.#traffic.backup();
    return () => {
      traffic();
      seen();
      for (const restore of sets) restore();
      for (const sim of this.#scenario.rollouts)
        for (const gateway of gatewayObjects(sim)) this.#lostGateways.add(gateway.name);
      this.engineRestarted();
    };
  }

  engineRestarted(): void {
    this.#statuses.engineRestarted();
  }

  /** Notes that somebody has made an object again during an undo, which may have passed the object already. */
  madeInUndo(object: ObjectReference): void {
    this.#madeInUndo.add(referenceKey(object));
  }

  /**
   * Notes that somebody has deleted an object that a Canary has made for its routes. Only a new Canary makes it again.
   */
  lostMade(object: ObjectReference): void {
    this.#lostMade.add(referenceKey(object));
  }

  /** Notes that somebody has deleted the canary of this gateway. The gateway may have no pod until it has one again. */
  lostGateway(name: string): void {
    this.#lostGateways.add(name);
  }

  deleted(key: string): void {
    const seen = this.#seen.get(key);
    if (seen !== undefined) seen.deleted = true;
  }

  /**
   * Notes that a deleted object is gone and a new one of its name comes, maybe within one tick. The new object undoes
   * nothing of the deleted one if the journal has no entries, or belongs to a completed run, whose changes stay.
   */
  goneBeforeAnother(key: string): void {
    const seen = this.#seen.get(key);
    if (seen?.deleted !== true) return;
    const { entries = [], decisions = [] } =
      this.#store.writtenJournal(journalNameOf(rolloutObject(seen.sim, ""))) ?? {};
    if (entries.length === 0 || journalCounts({ entries, decisions }).completed) this.#gone(key, seen);
  }

  /** Notes that a new object has replaced one with the same name. No engine has read it yet. */
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
    // The journal of a completed run was not cleared, because the server refused that, so the new object undoes the
    // run.
    else if (run > 0) seen.baseline = seen.unforgotten ?? seen.baseline;
  }

  /**
   * Notes a change by another writer. If the run has not written anything yet, the change belongs to the state before
   * the run.
   */
  meddled(key: string): void {
    const seen = this.#seen.get(key);
    if (seen === undefined) return;
    const { entries = [], decisions = [] } =
      this.#store.writtenJournal(journalNameOf(rolloutObject(seen.sim, ""))) ?? {};
    const isEarlierRun =
      journalCounts({ entries, decisions }).completed && this.#store.read(key)?.status?.startedAt === undefined;
    const written = !isEarlierRun && entries.some((entry) => entry.type === "field" && entry.setup !== true);
    if (!written) seen.baseline = { ...seen.baseline, ...this.#snapshotOf(seen) };
    if (seen.sim.kind === "Canary") this.#traffic.meddled(seen.sim);
  }

  /**
   * Notes that somebody has made objects again as they were before any run. They lack the changes of a completed run. A
   * later run restores those changes only in objects that it has written.
   */
  remade(key: string, objects: readonly ObjectReference[]): void {
    const seen = this.#seen.get(key);
    if (seen === undefined) return;
    const { entries = [] } = this.#store.writtenJournal(journalNameOf(rolloutObject(seen.sim, ""))) ?? {};
    const written = new Set(entries.map((entry) => referenceKey(entry.object)));
    const remade = new Set(objects.map(referenceKey).filter((object) => !written.has(object)));
    const now = Object.entries(this.#snapshotOf(seen)).filter(([object]) => remade.has(object));
    seen.baseline = { ...seen.baseline, ...Object.fromEntries(now) };
  }

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
    isWithinLimits(this.#scenario, rollouts);
  }

  #gone(key: string, seen: Seen): void {
    this.#seen.delete(key);
    this.#statuses.forget(key);
    if (!seen.kept) return;
    const name = journalNameOf(rolloutObject(seen.sim, ""));
    // A deletion with `onDeletion: Leave` needs no journal. Neither does one after a person has agreed to end the
    // rollout without it.
    const isLeft = seen.sim.onDeletion === "Leave" || seen.last?.lostJournal?.accepted === true;
    const journal = isLeft ? this.#store.journals.get(name) : this.#store.writtenJournal(name);
    const left = seen.last?.phase === "Completed" ? [] : (journal?.entries ?? []);
    invariant(left.length === 0, `${key} is gone, and its journal holds entries`);
    const app = [...this.#cluster.objects.values()].find(({ reference }) => reference.name === `app-${seen.sim.name}`);
    invariant(app?.fields.get("/spec/paused") === undefined, `${key} is gone, and its target is still held`);
    const wasMoving = seen.last !== undefined && isUnderWay(seen.last);
    const probe = [...this.#cluster.objects.values()].find(
      ({ reference }) => reference.namespace === probeNamespace && ownsObject(seen.sim, reference),
    );
    invariant(probe === undefined, `${key} is gone, and its probe ${probe?.reference.name ?? ""} is not`);
    if (!wasMoving || seen.sim.onDeletion !== "Rollback") return;
    // A deletion undoes the preparation of the target too.
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
      restarted: new Set(),
      last: undefined,
      kept: false,
    };
    this.#seen.set(key, seen);
    return seen;
  }

  #snapshot(sim: SimRollout): Snapshot {
    return snapshotOf(this.#cluster, sim);
  }
}

/** Whether another run follows a completed one. It may still wait. */
function isNextRun(before: RolloutStatus, { run = 0 }: RolloutStatus): boolean {
  return (before.phase === "Completed" || isRefusedAfterEnd(before)) && run > (before.run ?? 0);
}

function isFrozen(freezes: readonly Freeze[], nowMs: number): boolean {
  return freezes.some(({ spec }) => spec.windows.some((window) => windowState(window, "UTC", nowMs).holds));
}
