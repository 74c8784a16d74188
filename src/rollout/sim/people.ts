import { approvalsSince, maxApprovals, withoutJournalAnnotation, type RolloutStatus } from "../../api/serin/index.ts";
import { journalNameOf } from "../engine/journal-name.ts";
import type { Rollout } from "../engine/rollout-object.ts";
import { objectsOf } from "./canary-shape.ts";
import { podTemplate, versionOf } from "./canary-before.ts";
import { specStep } from "./canary-spec.ts";
import { calmFromTick, type SimRollout } from "./scenario.ts";
import { rememberedMap, rememberedSet } from "./remembered.ts";
import { templatePointer } from "./sim-canary.ts";
import type { SimParts } from "./sim-parts.ts";
import { keyOf, rolloutObject, simOf } from "./sim-plan.ts";
import type { Decided } from "./witness/decided.ts";

/** How long a person waits for an engine to notice a restored journal. */
const noticingTicks = 40;

/** The people of a simulation. They create rollouts, change applications, and do what a status tells them to do. */
export class People {
  readonly #parts: SimParts;
  /** By rollout: the pod template that a person has last written into a Deployment, if no run has tried it yet. */
  readonly #untried = new Map<string, string>();
  /** The pod template that somebody has withdrawn, by rollout. */
  readonly #withdrawn = new Map<string, string>();
  /** The rollouts that a person has deleted in order to create them again. */
  readonly #createdAgain = new Set<SimRollout>();
  /** When a person has last restored a journal, by the journal's name. */
  readonly #restoredAtTick = new Map<string, number>();
  /** The rollouts whose stable version a person has stopped, and the rollouts that a person has let run again. */
  readonly #retired = new Set<string>();
  readonly #ranAgain = new Set<string>();
  /** The rollouts during one of whose steps a person has changed the template. */
  readonly #changed = new Set<string>();

  constructor(parts: SimParts) {
    this.#parts = parts;
  }

  /**
   * Remembers the changes that people have made to objects. Returns a function that restores this memory together with
   * the objects.
   */
  backup(): () => void {
    const kept = [
      rememberedMap(this.#untried),
      rememberedMap(this.#withdrawn),
      rememberedMap(this.#restoredAtTick),
      ...[this.#changed, this.#retired, this.#ranAgain].map((set) => rememberedSet(set)),
      rememberedSet(this.#createdAgain),
    ];
    return () => {
      for (const restore of kept) restore();
    };
  }

  /** Creates the rollouts that are due, and changes Deployments in the steps that the scenario names. */
  begin(): void {
    for (const sim of this.#parts.scenario.rollouts) {
      if (sim.createdAtTick === this.#parts.time.tick) this.create(sim);
      this.#changeInStep(sim);
    }
  }

  /** Does what rollouts and their statuses tell people to do. */
  react(): void {
    const { store } = this.#parts;
    for (const key of store.keys) {
      this.#retireStable(key);
      this.#abortAtStep(key);
      this.#answer(key);
    }
    for (const sim of this.#createdAgain) {
      if (store.read(keyOf(sim)) !== undefined) continue;
      this.#createdAgain.delete(sim);
      this.create(sim);
    }
  }

  /** Notices that a run has tried the template that a person has written last. */
  stored({ rollout, decision }: Decided): void {
    const { candidate, run = 0, undo } = decision.status;
    const { name = "" } = rollout.metadata;
    if (run > 0 && candidate === this.#untried.get(name)) this.#untried.delete(name);
    if (undo?.because === "leftover" && this.#isTakenBack(rollout)) this.#untried.delete(name);
  }

  /** Whether a rollout at rest stays at rest, because no person will do anything more. */
  isContent(key: string, { spec, status }: Rollout): boolean {
    const { phase } = status ?? {};
    // A rollback that the scenario contains must still happen, even after the end.
    if (phase === "Completed" && this.#isToRunAgain(key)) return false;
    if (phase === "Completed" && (spec.abort || this.#isToBeAborted(key))) return false;
    const isTried = this.#isTried(key, status);
    return isTried || (phase === "RolledBack" && spec.abort);
  }

  /** Whether a person is about to do what the status says, or something that needs no status. */
  isToAnswer(rollout: Rollout): boolean {
    if (rollout.status?.message.includes("delete this Canary") === true) return true;
    return this.#parts.store.editedJournals.has(journalNameOf(rollout));
  }

  /** Whether a person is about to create a rollout again. */
  get isToCreate(): boolean {
    return this.#createdAgain.size > 0;
  }

  create(sim: SimRollout): void {
    const { cluster, note, store, time } = this.#parts;
    if (sim.kind === "Canary" && cluster.endedNamespaces.has(sim.namespace)) return;
    note(`${keyOf(sim)} is created: ${JSON.stringify(sim)}`);
    store.put(keyOf(sim), rolloutObject(sim, time.at));
  }

  delete(sim: SimRollout): void {
    const { store, time, witness } = this.#parts;
    witness.deleted(keyOf(sim));
    this.#untried.delete(sim.name);
    store.delete(keyOf(sim), time.at);
  }

  /** Deletes the rollout, and creates it again as soon as it is gone. */
  replace(sim: SimRollout): void {
    if (this.#parts.store.read(keyOf(sim)) === undefined) return;
    this.#createdAgain.add(sim);
    this.delete(sim);
  }

  /** Removes the rollout despite its finalizer, and creates another one of its name. */
  recreate(sim: SimRollout): void {
    const { store, witness } = this.#parts;
    if (store.read(keyOf(sim)) === undefined) return;
    store.forceDelete(keyOf(sim));
    this.#createdAgain.delete(sim);
    this.#untried.delete(sim.name);
    this.create(sim);
    witness.recreated(keyOf(sim));
  }

  /** A person writes another pod template into the Deployment of a Canary, which begins a run with it. */
  changeTemplate(sim: SimRollout, template: string): void {
    const { cluster, store } = this.#parts;
    const app = cluster.find(objectsOf(sim).app);
    if (app === undefined || versionOf(app.fields.get(templatePointer)) === template) return;
    cluster.setField(app, templatePointer, podTemplate(sim, template), "somebody");
    if (sim.watched && store.read(keyOf(sim)) !== undefined) this.#untried.set(sim.name, template);
  }

  /** Somebody withdraws the template of a Deployment that does not run yet, and applies it again later. */
  revert(sim: SimRollout, begins: boolean): void {
    if (begins) {
      const template = this.#parts.others.revertApp(sim);
      if (template === undefined) return;
      this.#untried.delete(sim.name);
      this.#withdrawn.set(sim.name, template);
      return;
    }
    const template = this.#withdrawn.get(sim.name);
    if (template === undefined) this.#applyAgain(sim);
    else this.changeTemplate(sim, template);
  }

  /**
   * Somebody applies the template again that the Canary has rolled back. If the status says so, the rollout waits
   * before it rolls the template out.
   */
  #applyAgain(sim: SimRollout): void {
    const { cluster, store } = this.#parts;
    const { phase, candidate } = store.read(keyOf(sim))?.status ?? {};
    const app = cluster.find(objectsOf(sim).app);
    if (app === undefined || phase !== "RolledBack" || candidate === undefined) return;
    cluster.setField(app, templatePointer, podTemplate(sim, candidate), "somebody");
    this.#untried.delete(sim.name);
  }

  #changeInStep(sim: SimRollout): void {
    const { changedInStep } = sim;
    const { phase, step } = this.#parts.store.read(keyOf(sim))?.status ?? {};
    if (changedInStep === undefined || this.#changed.has(sim.name) || step?.id !== changedInStep) return;
    if (phase === "RollingBack" || phase === "RolledBack" || this.#parts.random() < 0.5) return;
    this.#changed.add(sim.name);
    this.#parts.note(`${keyOf(sim)}: another template is written in step ${changedInStep}`);
    this.changeTemplate(sim, "v9");
  }

  /** A person stops the old version once the new one gets all requests. */
  #retireStable(key: string): void {
    const { cluster, note, scenario, store } = this.#parts;
    const sim = scenario.rollouts.find((candidate) => keyOf(candidate) === key);
    if (sim?.retiresStable !== true || this.#retired.has(sim.name)) return;
    const isAlone = [cluster.traffic.canaryShare(sim), cluster.traffic.dueShare(sim)].every((share) => share === 100);
    const app = cluster.find(objectsOf(sim).app);
    if (store.read(key)?.status?.phase !== "Completed" || !isAlone || app === undefined) return;
    this.#retired.add(sim.name);
    note(`${key}: the stable version is scaled to 0`);
    cluster.setField(app, "/spec/replicas", 0, "somebody");
  }

  /** A person starts a version again if the status asks for its pods. */
  #startStable(key: string, { message }: RolloutStatus): void {
    const { cluster, note, scenario } = this.#parts;
    const sim = scenario.rollouts.find((candidate) => keyOf(candidate) === key);
    const app = sim === undefined ? undefined : cluster.find(objectsOf(sim).app);
    if (app?.fields.get("/spec/replicas") !== 0 || !message.includes("has no ready pod")) return;
    note(`${key}: the stable version is scaled up: ${message}`);
    cluster.setField(app, "/spec/replicas", sim?.canary?.replicas ?? 1, "somebody");
  }

  #isToRunAgain(key: string): boolean {
    const sim = this.#parts.scenario.rollouts.find((candidate) => keyOf(candidate) === key);
    return sim?.runsAgain === true && !this.#ranAgain.has(sim.name);
  }

  /**
   * A person changes the steps of a completed rollout, which then runs again. Returns whether the person has done so.
   */
  #runAgain(key: string): boolean {
    const { note, scenario, store } = this.#parts;
    const sim = scenario.rollouts.find((candidate) => keyOf(candidate) === key);
    if (sim?.runsAgain !== true || this.#ranAgain.has(sim.name)) return false;
    this.#ranAgain.add(sim.name);
    note(`${key} runs again`);
    store.patchSpec(key, { steps: [{ weight: 30 }, { weight: 100 }].map((step) => specStep(step)) });
    return true;
  }

  /** Whether a person will roll it back after it has completed. */
  #isToBeAborted(key: string): boolean {
    return this.#parts.scenario.rollouts.some((sim) => sim.abortedAfterEnd === true && keyOf(sim) === key);
  }

  /**
   * Whether a run has tried the template that a person has last written, or the template runs because somebody has
   * resumed the Deployment.
   */
  #isTried(key: string, status: Rollout["status"]): boolean {
    const sim = this.#parts.scenario.rollouts.find((candidate) => keyOf(candidate) === key);
    const template = sim === undefined ? undefined : this.#untried.get(sim.name);
    if (sim === undefined || template === undefined) return true;
    // While no engine ran, somebody withdrew a template that was rolled back, and wrote it again.
    if (status?.candidate === template && status.message.includes("waits because it was rolled back")) return true;
    return template === versionOf(this.#parts.cluster.find(objectsOf(sim).app)?.running);
  }

  /** Whether the undo of an earlier object's run has withdrawn a template that somebody has then written again. */
  #isTakenBack(rollout: Rollout): boolean {
    const sim = simOf(this.#parts.scenario.rollouts, rollout);
    const template = this.#parts.cluster.find(objectsOf(sim).app)?.fields.get(templatePointer);
    return this.#untried.get(sim.name) !== versionOf(template);
  }

  /**
   * Acts as the user: approves waiting steps, rolls back completed rollouts on request, and aborts stuck ones in the
   * quiet time after all disturbances.
   */
  #answer(key: string): void {
    const { note, others, random, scenario, store, time } = this.#parts;
    const found = store.read(key);
    const status = found?.status;
    if (found === undefined || status === undefined || random() > 0.2) return;
    this.#startStable(key, status);
    if (status.phase === "Completed" && this.#runAgain(key)) return;
    if (status.phase === "Completed" && this.#isToBeAborted(key) && !found.spec.abort) {
      note(`${key} is put back after its end`);
      store.patchSpec(key, { abort: true });
      return;
    }
    if (status.lostJournal !== undefined && status.lostJournal.accepted !== true)
      return this.#answerLoss(key, journalNameOf(found), status.lostJournal.at);
    if (status.message.includes("has changed its entries")) {
      note(`${key}: its journal is as before: ${status.message}`);
      store.restoreEdited(journalNameOf(found));
      return;
    }
    if (status.message.includes("delete this Canary") && found.metadata.deletionTimestamp === undefined) {
      note(`${key} is deleted, to be created again: ${status.message}`);
      return this.replace(simOf(scenario.rollouts, found));
    }
    if (time.isCalm) others.relabelling.follow(status);
    this.#approve(key, found, status);
    const isLate = time.tick > calmFromTick + 10;
    if (isLate && status.phase === "Stuck" && status.undo === undefined && !found.spec.abort) {
      note(`${key} is aborted: it is stuck: ${status.message}`);
      store.patchSpec(key, { abort: true });
    }
  }

  #approve(key: string, { spec }: Rollout, { ordersBefore, pauseReason, step }: RolloutStatus): void {
    const { note, store, time } = this.#parts;
    if (pauseReason !== "approval" || step === undefined) return;
    // An approval of an earlier run does not apply to this one.
    const given = approvalsSince(spec.approvals, ordersBefore ?? {});
    if (ordersBefore !== undefined && given.some((approval) => approval.step === step.id)) return;
    note(`${key}: ${step.id} is approved`);
    store.patchSpec(key, {
      approvals: [...spec.approvals, { step: step.id, by: "me", why: "", at: time.at }].slice(-maxApprovals),
    });
  }

  /**
   * A person restores the journal from a backup. The status may name objects that were undone after it was written, and
   * a backup has no entries of these. If the status still asks for the journal after a while, the person ends the
   * rollout without it.
   */
  #answerLoss(key: string, journal: string, at: string): void {
    const { note, store, time } = this.#parts;
    const restoredAtTick = this.#restoredAtTick.get(journal);
    if (store.lostJournals.has(journal)) {
      note(`${key}: its journal is restored`);
      store.restoreJournal(journal);
      this.#restoredAtTick.set(journal, time.tick);
    } else if (restoredAtTick !== undefined && time.tick - restoredAtTick > noticingTicks) {
      note(`${key} ends without its journal`);
      store.annotate(key, withoutJournalAnnotation, at);
    }
  }

  /** Rolls the rollout back, as a person would, as soon as the given number of steps is done. */
  #abortAtStep(key: string): void {
    const { note, scenario, store } = this.#parts;
    const { abortedAfterSteps } = scenario.rollouts.find((sim) => keyOf(sim) === key) ?? {};
    const { spec, status } = store.read(key) ?? {};
    if (abortedAfterSteps === undefined || status === undefined || spec?.abort === true) return;
    if (status.completedSteps.length < abortedAfterSteps) return;
    note(`${key} is put back after ${status.completedSteps.length} steps`);
    store.patchSpec(key, { abort: true });
  }
}
