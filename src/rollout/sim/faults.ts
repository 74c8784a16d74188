import type { Freeze } from "../../api/serin/index.ts";
import { referenceKey, type Refusal } from "../decide/index.ts";
import { journalNameOf } from "../engine/journal-name.ts";
import type { Rollout } from "../engine/rollout-object.ts";
import { reference } from "../plan/index.ts";
import { objectsOf, plainCanary } from "./canary-shape.ts";
import { changeSelector, drainNode, dropSubsets, scaleToZero } from "./changed-services.ts";
import { specChecks, specStep } from "./canary-spec.ts";
import type { EngineFleet } from "./engine-fleet.ts";
import { newerStatus, olderStatus } from "./other-release.ts";
import type { People } from "./people.ts";
import type { Disturbance, Lasting, SimRollout, Unread } from "./scenario.ts";
import type { SimParts } from "./sim-parts.ts";
import { keyOf, namespaceOf, ownsObject, rolloutObject } from "./sim-plan.ts";

interface FaultsOptions extends SimParts {
  readonly people: People;
  readonly engines: () => EngineFleet;
  /** A lasting fault ends at this tick. */
  readonly lastTick: number;
}

export class Faults {
  readonly #options: FaultsOptions;
  /** Why the engine refuses to carry out a rollout, by the rollout's name. */
  readonly #refusals = new Map<string, Refusal>();
  /** The objects that the engine cannot read from the API server, such as `target r0` or `journal r0`. */
  readonly #unread = new Set<string>();
  /** The backups of each `restoreEtcd`, as functions that restore them. */
  readonly #backups = new Map<Disturbance, readonly (() => void)[]>();
  isApiUp = true;
  freezes: readonly Freeze[] = [];

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  refusalOf({ metadata: { name = "" } }: Rollout): Refusal | undefined {
    return this.#refusals.get(name);
  }

  isUnreadable({ metadata: { name = "" } }: Rollout, what: Unread): boolean {
    return this.#unread.has(`${what} ${name}`);
  }

  disturb(disturbance: Disturbance): void {
    const { note, scenario, time } = this.#options;
    const begins = disturbance.atTick === time.tick;
    const ends = "untilTick" in disturbance && disturbance.untilTick === time.tick;
    if (!begins && !ends) return;
    const sim = "rollout" in disturbance ? scenario.rollouts[disturbance.rollout] : undefined;
    note(`${disturbance.type}${sim === undefined ? "" : ` ${sim.name}`} ${begins ? "begins" : "ends"}`);
    if (sim !== undefined && "rollout" in disturbance) this.#disturbRollout(disturbance, sim, begins);
    else this.#disturbAll(disturbance, begins);
  }

  last({ type, atTick, rollout }: Lasting): void {
    const { cluster, note, others, scenario, time, lastTick: untilTick } = this.#options;
    const sim = scenario.rollouts[rollout];
    if (time.tick < atTick || sim === undefined) return;
    if (type === "controlPlaneGone") cluster.controlPlaneUp = false;
    // The pods are lost only when the canary gets requests.
    const { traffic } = cluster;
    if (type === "losePods" && sim.kind === "Canary" && (traffic.canaryShare(sim) ?? 0) > 0)
      traffic.lostPods.add(sim.name);
    if (time.tick > atTick) return;
    note(`${type} of ${sim.name} begins and lasts`);
    if (type === "silence") traffic.silent.add(sim.name);
    if (type === "unanswered") traffic.unanswered.add(sim.name);
    if (type === "refused") this.#refuse(sim);
    if (type === "journalFull" || type === "refuse" || type === "rewrite")
      this.#disturbServer({ type, atTick, untilTick, rollout }, sim, true);
    if (type === "unreadTarget" || type === "unreadJournal")
      this.#unread.add(`${type === "unreadTarget" ? "target" : "journal"} ${sim.name}`);
    if (type === "theirs") others.meddle({ type: "meddle", atTick, untilTick, rollout }, sim, true);
    if (type === "noBudget") for (const namespace of sim.moves ?? []) cluster.withoutBudget.add(namespace);
    if (type === "selfHeal" || type === "noPods" || type === "badSpec" || type === "noRights")
      this.#disturbRollout({ type, atTick, untilTick, rollout }, sim, true);
  }

  #refuse(sim: SimRollout): void {
    const object = sim.kind === "Canary" ? objectsOf(sim).route : namespaceOf(sim);
    if (object !== undefined) this.#options.cluster.refused.add(referenceKey(object));
  }

  #disturbAll(disturbance: Disturbance, begins: boolean): void {
    const { cluster, store, time } = this.#options;
    const engines = this.#options.engines();
    switch (disturbance.type) {
      case "controlPlaneDown":
        cluster.controlPlaneUp = !begins;
        return;
      case "apiDown":
        this.isApiUp = !begins;
        return;
      case "restoreEtcd":
        this.#restoreEtcd(disturbance, begins);
        return;
      case "clockJump":
        time.wallOffsetMs += disturbance.byMs;
        return;
      case "freeze":
        this.freezes = begins ? [freezeNow(time.wallMs)] : [];
        return;
      case "freezeMoves":
        this.freezes = [begins ? freezeNow(time.wallMs, 0, 5000) : freezeNow(time.wallMs, 5000, 10_000)];
        return;
      case "endNamespace":
        this.#endNamespace(disturbance.namespace);
        return;
      case "otherRelease":
        engines.crash();
        for (const key of store.keys) store.rewriteStatus(key, disturbance.isOlder ? olderStatus : newerStatus);
        return;
      case "stopLeader":
        engines.stopLeader(begins);
        return;
      case "noEngine":
        engines.scale(begins ? 0 : 1);
        return;
      default:
    }
  }

  #restoreEtcd(restored: Extract<Disturbance, { type: "restoreEtcd" }>, begins: boolean): void {
    const { cluster, others, people, scenario, store, witness } = this.#options;
    if (begins) {
      this.#backups.set(
        restored,
        [cluster, store, witness, others, people].map((kept) => kept.backup()),
      );
      return;
    }
    this.#options.engines().loseRequests();
    for (const restore of this.#backups.get(restored) ?? []) restore();
    if (restored.isRestarted) this.#options.engines().crash();
    // A restore brings back a change of somebody that the same person reverted after the backup, so that person reverts
    // it again.
    for (const other of scenario.disturbances) {
      if (!("untilTick" in other) || !("rollout" in other) || !putsBack.has(other.type)) continue;
      const sim = scenario.rollouts[other.rollout];
      const isOver = other.untilTick > restored.atTick && other.untilTick <= restored.untilTick;
      if (sim !== undefined && other.atTick <= restored.atTick && isOver) this.#disturbRollout(other, sim, false);
    }
  }

  /** Deletes the namespace. Its Canaries stay until they are undone, and the other objects go one by one. */
  #endNamespace(namespace: string): void {
    const { cluster, people, scenario } = this.#options;
    cluster.endedNamespaces.add(namespace);
    cluster.objects.delete(referenceKey(reference("v1", "Namespace", namespace)));
    for (const sim of scenario.rollouts) if (sim.kind === "Canary" && sim.namespace === namespace) people.delete(sim);
  }

  #disturbRollout(disturbance: Disturbance, sim: SimRollout, begins: boolean): void {
    const { cluster, others } = this.#options;
    switch (disturbance.type) {
      case "vanish":
        others.vanish(sim, begins);
        return;
      case "remake":
        others.remake(sim);
        return;
      case "remakeNamespace":
        if (!this.#leavesPods(sim)) others.remakeNamespace(sim);
        return;
      case "selfHeal":
        others.watchByGit(sim, begins);
        return;
      case "noPods":
        if (begins) cluster.podsRefused.set(sim.name, (object) => ownsObject(sim, object));
        else cluster.acceptPods(sim.name);
        return;
      case "losePods":
        if (sim.kind === "Canary" && begins) cluster.traffic.lostPods.add(sim.name);
        else cluster.traffic.lostPods.delete(sim.name);
        return;
      case "badSpec":
      case "noRights":
        if (begins) this.#refusals.set(sim.name, refusals[disturbance.type]);
        else this.#refusals.delete(sim.name);
        return;
      case "meddle":
      case "scaleGateway":
      case "scaleApp":
        others.meddle(disturbance, sim, begins);
        return;
      default:
        this.#order(disturbance, sim, begins);
        this.#disturbServer(disturbance, sim, begins);
        this.#disturbApp(disturbance, sim, begins);
    }
  }

  #order(disturbance: Disturbance, sim: SimRollout, begins: boolean): void {
    const { people, store } = this.#options;
    const key = keyOf(sim);
    if (disturbance.type === "abort") store.patchSpec(key, { abort: true });
    if (disturbance.type === "promote") store.patchSpec(key, { fullPromotion: { by: "me", why: "hurry" } });
    if (disturbance.type === "pause") store.patchSpec(key, { paused: begins });
    if (disturbance.type === "resume") store.patchSpec(key, { paused: false, abort: false });
    if (disturbance.type === "delete") people.delete(sim);
    if (disturbance.type === "replace") people.replace(sim);
    if (disturbance.type === "recreate") people.recreate(sim);
    if (disturbance.type === "editUpgrade") store.patchSpec(key, { edited: disturbance.edited });
    if (sim.kind !== "Canary") return;
    if (disturbance.type === "edit") store.patchSpec(key, { steps: disturbance.steps.map((step) => specStep(step)) });
    if (disturbance.type === "editChecks")
      store.patchSpec(key, { checks: specChecks(sim.canary ?? plainCanary, disturbance.minSamples) });
  }

  #loseJournal(sim: SimRollout, isRestarted: boolean): void {
    this.#options.store.loseJournal(journalNameOf(rolloutObject(sim, "")));
    if (isRestarted) this.#options.engines().crash();
  }

  #disturbServer(disturbance: Disturbance, sim: SimRollout, begins: boolean): void {
    const { store } = this.#options;
    const { refusedJournals } = store;
    const { writesRefused, rewritten } = this.#options.cluster;
    const journal = journalNameOf(rolloutObject(sim, ""));
    if (disturbance.type === "editJournal") store.editJournal(journal);
    if (disturbance.type === "loseJournal") this.#loseJournal(sim, disturbance.isRestarted);
    if (disturbance.type === "journalFull" && begins) refusedJournals.add(journal);
    if (disturbance.type === "journalFull" && !begins) refusedJournals.delete(journal);
    if (disturbance.type === "refuse" && begins) writesRefused.set(sim.name, (object) => ownsObject(sim, object));
    if (disturbance.type === "refuse" && !begins) writesRefused.delete(sim.name);
    if (disturbance.type === "rewrite" && begins) rewritten.set(sim.name, (object) => ownsObject(sim, object));
    if (disturbance.type === "rewrite" && !begins) rewritten.delete(sim.name);
    if (disturbance.type === "unread" && begins) this.#unread.add(`${disturbance.what} ${sim.name}`);
    if (disturbance.type === "unread" && !begins) this.#unread.delete(`${disturbance.what} ${sim.name}`);
  }

  /**
   * Whether a person deletes the upgrade in its run and makes it again, and the pods stay at the new revision. If the
   * second upgrade finds these pods without their control plane, it installs the control plane, and cannot undo that
   * before a person acts.
   */
  #leavesPods(sim: SimRollout): boolean {
    const { disturbances, rollouts } = this.#options.scenario;
    const isReplaced = disturbances.some((other) => other.type === "replace" && rollouts[other.rollout] === sim);
    return isReplaced && sim.onDeletion === "Leave";
  }

  /** Carries out a person's change of a Canary's objects, or of those that an upgrade has made. */
  #disturbApp(disturbance: Disturbance, sim: SimRollout, begins: boolean): void {
    const { cluster, others, people } = this.#options;
    for (const namespace of disturbance.type === "noBudget" ? (sim.moves ?? []) : [])
      if (begins) cluster.withoutBudget.add(namespace);
      else cluster.withoutBudget.delete(namespace);
    if (disturbance.type === "noBudget" && !begins) cluster.acceptPods(sim.name);
    if (disturbance.type === "changeSelector") changeSelector(cluster, sim, begins ? disturbance.service : undefined);
    if (disturbance.type === "dropSubset") dropSubsets(cluster, sim, begins);
    if (disturbance.type === "drain") drainNode(cluster, sim);
    if (disturbance.type === "scaleToZero") scaleToZero(cluster, sim, begins);
    if (disturbance.type === "extend") others.extend(disturbance, sim, begins);
    if (disturbance.type === "loseMade" && !this.#leavesPods(sim)) others.loseMade(sim, begins);
    if (disturbance.type === "change") people.changeTemplate(sim, disturbance.template);
    if (disturbance.type === "resumeApp") others.resumeApp(sim);
    if (disturbance.type === "remakeApp") others.remakeApp(sim);
    if (disturbance.type === "loseRoute") others.loseRoute(sim);
    if (disturbance.type === "revertApp") people.revert(sim, begins);
  }
}

/** The disturbances at whose end somebody writes objects again. */
const putsBack: ReadonlySet<string> = new Set([
  "pause",
  "meddle",
  "scaleApp",
  "scaleToZero",
  "scaleGateway",
  "vanish",
  "revertApp",
  "loseMade",
  "extend",
  "changeSelector",
  "dropSubset",
]);

const refusals: Readonly<Record<"badSpec" | "noRights", Refusal>> = {
  badSpec: { reason: "spec", problem: "its target does not exist", remedy: "correct the spec" },
  noRights: { reason: "author", problem: "its author may not patch the route", remedy: "grant it" },
};

/** A freeze in the form that `serin freeze add` stores: without fields that have defaults. */
function freezeNow(nowMs: number, inMs = 0, lastsMs = 600_000): Freeze {
  const at = (ms: number): string => new Date(ms).toISOString().slice(0, "2026-12-20T18:00:00".length);
  const spec = { reason: "test", windows: [{ start: at(nowMs + inMs), end: at(nowMs + inMs + lastsMs) }] };
  return { metadata: { name: "now" }, spec } as unknown as Freeze;
}
