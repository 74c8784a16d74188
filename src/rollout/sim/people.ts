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

/** An engine must notice a restored journal within this time. Otherwise a person gives up. */
const noticingTicks = 40;

/** The people of a simulation: they create rollouts, change applications, and do what a status tells them to do. */
export class People {
  readonly #parts: SimParts;
  /**
   * By rollout: the version of the template that a person wrote into the Deployment last, if no run has tried it yet.
   */
  readonly #untried = new Map<string, string>();
  /** By rollout: the version of the template that somebody has withdrawn. */
  readonly #withdrawn = new Map<string, string>();
  readonly #createdAgain = new Set<SimRollout>();
  /** By journal: the tick at which a person restored it last. */
  readonly #restoredAtTick = new Map<string, number>();
  /** The rollouts whose stable version a person has stopped after the end. */
  readonly #retired = new Set<string>();
  readonly #ranAgain = new Set<string>();
  /** The rollouts for which a person has done what `changedInStep` says. */
  readonly #changed = new Set<string>();

  constructor(parts: SimParts) {
    this.#parts = parts;
  }

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

  begin(): void {
    for (const sim of this.#parts.scenario.rollouts) {
      if (sim.createdAtTick === this.#parts.time.tick) this.create(sim);
      this.#changeInStep(sim);
    }
  }

  react(): void {
    const { store, witness } = this.#parts;
    for (const key of store.keys) {
      this.#retireStable(key);
      this.#abortAtStep(key);
      this.#answer(key);
    }
    for (const sim of this.#createdAgain) {
      if (store.read(keyOf(sim)) !== undefined) continue;
      this.#createdAgain.delete(sim);
      witness.goneBeforeAnother(keyOf(sim));
      this.create(sim);
    }
  }

  /** Notices that a run has tried the template that a person wrote last. */
  stored({ rollout, decision }: Decided): void {
    const { candidate, run = 0, undo } = decision.status;
    const { name = "" } = rollout.metadata;
    if (run > 0 && candidate === this.#untried.get(name)) this.#untried.delete(name);
    if (undo?.because === "leftover" && this.#isTakenBack(rollout)) this.#untried.delete(name);
  }

  /** Whether no person will change a rollout that is at rest. */
  isContent(key: string, { spec, status }: Rollout): boolean {
    const { phase } = status ?? {};
    // A person still runs a completed rollout again, or rolls it back, if the scenario says so.
    if (phase === "Completed" && this.#isToRunAgain(key)) return false;
    if (phase === "Completed" && (spec.abort || this.#isToBeAborted(key))) return false;
    const isTried = this.#isTried(key, status);
    return isTried || (phase === "RolledBack" && spec.abort);
  }

  /** Whether a person will soon do what the status says, or correct an edited journal. */
  isToAnswer(rollout: Rollout): boolean {
    if (rollout.status?.message.includes("delete this Canary") === true) return true;
    return this.#parts.store.editedJournals.has(journalNameOf(rollout));
  }

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

  /** Deletes the rollout, and later creates it again when it is gone. */
  replace(sim: SimRollout): void {
    if (this.#parts.store.read(keyOf(sim)) === undefined) return;
    this.#createdAgain.add(sim);
    this.delete(sim);
  }

  /** Removes the rollout despite its finalizer, and creates another one with its name. */
  recreate(sim: SimRollout): void {
    const { store, witness } = this.#parts;
    if (store.read(keyOf(sim)) === undefined) return;
    store.forceDelete(keyOf(sim));
    this.#createdAgain.delete(sim);
    this.#untried.delete(sim.name);
    this.create(sim);
    witness.recreated(keyOf(sim));
  }

  /** A person writes another template into the Deployment of a Canary, so that a run begins. */
  changeTemplate(sim: SimRollout, template: string): void {
    const { cluster, store } = this.#parts;
    const app = cluster.find(objectsOf(sim).app);
    if (app === undefined || versionOf(app.fields.get(templatePointer)) === template) return;
    cluster.setField(app, templatePointer, podTemplate(sim, template), "somebody");
    if (sim.watched && store.read(keyOf(sim)) !== undefined) this.#untried.set(sim.name, template);
  }

  /**
   * With `begins`, somebody withdraws a template that the Deployment does not run yet. Otherwise, they apply it again.
   */
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
   * Somebody applies the template again that the Canary has rolled back. The rollout waits before it rolls the template
   * out again.
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

  /** A person stops the old version when the new one gets all requests. */
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
   * If the scenario says so, a person changes the steps of a completed rollout, which then runs again. Returns whether
   * this happened.
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

  #isToBeAborted(key: string): boolean {
    return this.#parts.scenario.rollouts.some((sim) => sim.abortedAfterEnd === true && keyOf(sim) === key);
  }

  /**
   * Whether no template waits to be tried: a run has tried the one that a person wrote last, or it runs because
   * somebody has resumed the Deployment.
   */
  #isTried(key: string, status: Rollout["status"]): boolean {
    const sim = this.#parts.scenario.rollouts.find((candidate) => keyOf(candidate) === key);
    const template = sim === undefined ? undefined : this.#untried.get(sim.name);
    if (sim === undefined || template === undefined) return true;
    // A template that was rolled back, withdrawn and written again while no engine ran counts as tried, because the
    // rollout waits.
    if (status?.candidate === template && status.message.includes("waits because it was rolled back")) return true;
    return template === versionOf(this.#parts.cluster.find(objectsOf(sim).app)?.running);
  }

  /** Whether an undo for an earlier object has withdrawn the template that somebody wrote last. */
  #isTakenBack(rollout: Rollout): boolean {
    const sim = simOf(this.#parts.scenario.rollouts, rollout);
    const template = this.#parts.cluster.find(objectsOf(sim).app)?.fields.get(templatePointer);
    return this.#untried.get(sim.name) !== versionOf(template);
  }

  /**
   * Acts as the user: answers what the status says, approves waiting steps, rolls back completed rollouts if the
   * scenario says so, and aborts stuck ones in the quiet time after all disturbances.
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
    // An approval for an earlier run does not apply to this one.
    const given = approvalsSince(spec.approvals, ordersBefore ?? {});
    if (ordersBefore !== undefined && given.some((approval) => approval.step === step.id)) return;
    note(`${key}: ${step.id} is approved`);
    store.patchSpec(key, {
      approvals: [...spec.approvals, { step: step.id, by: "me", why: "", at: time.at }].slice(-maxApprovals),
    });
  }

  /**
   * A person restores a lost journal from a backup. If the status still asks for the journal after {@link
   * noticingTicks}, because it names objects for which the backup has no entries, the person ends the rollout without
   * the journal.
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

  /** A person rolls the rollout back when the scenario's number of steps is done. */
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
