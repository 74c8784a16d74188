import { invariant, messageOf, type Random, seededRandom } from "../../base/index.ts";
import {
  approvalsSince,
  isRestingPhase,
  maxApprovals,
  withoutJournalAnnotation,
  type Freeze,
  type JournalEntry,
  type RolloutStatus,
} from "../../api/serin/index.ts";
import { isUnderWay, referenceKey, undoPatienceMs, type Refusal } from "../decide/index.ts";
import { journalNameOf, type Rollout } from "../engine/rollout-object.ts";
import { failingRoundsMs } from "../engine/round-memory.ts";
import { EngineFleet } from "./engine-fleet.ts";
import { ModelCluster, rollMs } from "./model-cluster.ts";
import { newerStatus, olderStatus } from "./other-release.ts";
import { OtherWriters } from "./other-writers.ts";
import { calmFromTick, tickMs, type Disturbance, type Lasting, type Scenario, type SimRollout } from "./scenario.ts";
import { SimEngine } from "./sim-engine.ts";
import { injectingRevision } from "./mesh-model.ts";
import { reference } from "../plan/index.ts";
import { isSidecarWorkload, meshBefore, operatedMesh } from "./sim-mesh.ts";
import { canaryBefore, objectsOf, plainCanary, podTemplate, versionOf } from "./canary-shape.ts";
import { specChecks, specStep } from "./canary-spec.ts";
import { templatePointer } from "./sim-canary.ts";
import { keyOf, namespaceOf, ownsObject, rolloutObject, simPlan } from "./sim-plan.ts";
import { SimStore } from "./sim-store.ts";
import { Witness, type Decided } from "./witness.ts";

export interface SimResult {
  readonly failure: string | undefined;
  readonly history: readonly string[];
}

const epochMs = Date.parse("2026-01-01T00:00:00Z");
/** All rollouts must end by this tick. They may run one after another, and each undo may have to wait. */
const patienceTicks = calmFromTick + 8000 + Math.ceil(undoPatienceMs / tickMs);
/**
 * With a lasting fault, the simulation ends when nothing has changed for this long. It exceeds every limit of a check.
 */
const lastingTicks = 1400;
/**
 * How long a Deployment may roll out after the undo of its Canary, which then waits for a person and does not hold the
 * Deployment. The rollout's status changes meanwhile, because it contains the plan. The watch that follows is so short
 * that a new engine does not yet store a status of which only the texts have changed.
 */
const settlingTicks = Math.ceil(rollMs / tickMs) + 2;
const watchedTicks = 12;
/** How long a person waits until an engine has noticed a restored journal. */
const noticingTicks = 40;
/** How long an engine may take to tell that it cannot read a journal. */
const tellsWithinTicks = Math.ceil(failingRoundsMs / tickMs) + watchedTicks;
/** The beginning of every message about a rollout that does not end. */
export const unendedText = "never came to its end";
/** Matches a message that names a command, an action of a person, or another rollout, freeze or group to wait for. */
const saysWhoMustAct =
  /resolve it|restore it|Restore this RolloutJournal|a person must|promote|approv|abort|correct what it names|resume|until a person acts|waits itself|let the budget allow it|freeze|was rolled back; change it|changed by somebody else|correct the spec|grant it/;

/** Runs one scenario to its end. Returns what happened, and the violated invariant if there is one. */
export function simulate(scenario: Scenario): SimResult {
  const simulation = new Simulation(scenario);
  try {
    simulation.run();
    return { failure: undefined, history: simulation.history };
  } catch (error) {
    return { failure: messageOf(error), history: simulation.history };
  }
}

class Simulation {
  readonly history: string[] = [];
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #cluster: ModelCluster;
  readonly #store = new SimStore();
  readonly #witness: Witness;
  /** The pod template that a person has written last into a Deployment, and that no run has tried yet, by rollout. */
  readonly #untried = new Map<string, string>();
  /** The pod template that somebody has withdrawn, by rollout. */
  readonly #withdrawn = new Map<string, string>();
  readonly #others: OtherWriters;
  readonly #engines: EngineFleet;
  #tick = 0;
  #wallOffsetMs = 0;
  #apiUp = true;
  #freezes: readonly Freeze[] = [];
  /** The reasons for which rollouts are not carried out, by the names of the rollouts. */
  readonly #refusals = new Map<string, Refusal>();
  /** What the server cannot read: `target` or `journal`, and the rollout's name. */
  readonly #unread = new Set<string>();
  /** The Canaries that a person has deleted to create them again. */
  readonly #createdAgain = new Set<SimRollout>();
  /** When a person has restored a journal last, by its name. */
  readonly #restoredAtTick = new Map<string, number>();
  /** The rollouts in one of whose steps a person has changed the template. */
  readonly #changed = new Set<string>();
  /** The steps before whose writes an engine was killed, with their journals. */
  readonly #killedIn = new Set<string>();
  #lastStates = "";
  #statesSinceTick = 0;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#random = seededRandom(scenario.seed ^ 0x5e_ed);
    this.#cluster = new ModelCluster(this.#random);
    this.#witness = new Witness(scenario, this.#cluster, this.#store);
    this.#others = new OtherWriters({
      random: this.#random,
      cluster: this.#cluster,
      store: this.#store,
      witness: this.#witness,
      rollouts: scenario.rollouts,
    });
    this.#build();
    this.#engines = new EngineFleet({
      scenario,
      random: this.#random,
      store: this.#store,
      make: (id) => this.#engine(id),
      isCalm: () => this.#isCalm(),
      isApiUp: () => this.#apiUp,
      note: (text) => this.#note(text),
    });
    this.#store.watchers.add((key) => this.#engines.wake(key, () => (this.#isLate() ? 3 * tickMs : 0)));
  }

  /** Whether a watch event arrives late. */
  #isLate(): boolean {
    return !this.#isCalm() && this.#random() < this.#scenario.staleRate;
  }

  #build(): void {
    const upgrades = this.#scenario.rollouts.filter(({ kind }) => kind === "MeshUpgrade");
    for (const upgrade of upgrades)
      for (const [object, fields] of meshBefore(upgrade)) this.#cluster.add(object, fields);
    this.#cluster.operated.push(...upgrades.flatMap((upgrade) => operatedMesh(upgrade) ?? []));
    for (const [key, object] of this.#cluster.objects)
      if (isSidecarWorkload(object.reference.name))
        this.#cluster.injected.set(key, injectingRevision(this.#cluster, object));
    for (const sim of this.#scenario.rollouts.filter(({ kind }) => kind === "Canary")) {
      for (const [object, fields] of canaryBefore(sim)) this.#cluster.add(object, fields);
      this.#cluster.traffic.add(sim);
    }
  }

  run(): void {
    for (; this.#tick < patienceTicks; this.#tick += 1) {
      this.#people();
      this.#cluster.tick(tickMs, (route) => this.#errorRateOf(route));
      this.#engines.work();
      this.#witness.everyTick();
      this.#others.everyTick();
      if (this.#tick > calmFromTick + tellingTicks(this.#scenario) && this.#isOver() && this.#staysOver())
        return this.#witness.atTheEnd();
    }
    throw new Error(`${unendedText}: ${this.#states()}`);
  }

  #states(): string {
    return this.#store.keys
      .map(
        (key) =>
          `${key}: ${this.#store.read(key)?.status?.phase ?? "not seen"}: ${this.#store.read(key)?.status?.message ?? ""}`,
      )
      .join(" | ");
  }

  #phases(): string {
    return this.#store.keys.map((key) => this.#store.read(key)?.status?.phase ?? "").join(" ");
  }

  /** Whether all rollouts have ended. With a lasting fault, they may also wait, but each message must say for whom. */
  #isOver(): boolean {
    if (this.#allAtRest()) return true;
    if (this.#scenario.lasting === undefined) return false;
    // A new engine must fail some times before it says again that the server refuses the journal.
    const states = this.#scenario.lasting.type === "journalFull" ? this.#phases() : this.#states();
    if (states !== this.#lastStates) [this.#lastStates, this.#statesSinceTick] = [states, this.#tick];
    if (this.#tick - this.#statesSinceTick < lastingTicks) return false;
    for (const key of this.#store.keys) {
      const { phase = "Planned", message = "" } = this.#store.read(key)?.status ?? {};
      const ended = isRestingPhase(phase);
      invariant(
        ended || saysWhoMustAct.test(message),
        `${unendedText}: ${key} is ${phase} and names nobody: ${message}`,
      );
    }
    return true;
  }

  /** Checks that after the end a new engine changes nothing, and that it runs no more rounds than waiting needs. */
  #staysOver(): boolean {
    this.#engines.crash();
    this.#witness.engineRestarted();
    for (let more = 0; more < settlingTicks; more += 1) this.#calmTick();
    if (!this.#isOver()) return false;
    const version = this.#store.version;
    const rounds = this.#engines.rounds;
    for (let more = 0; more < watchedTicks; more += 1) this.#calmTick();
    const written = this.#store.version - version;
    const most = this.#scenario.lasting === undefined ? 0 : this.#store.keys.length * 2;
    invariant(written <= most, `${written} writes in ${watchedTicks} ticks after the end: ${this.#states()}`);
    const looks = this.#engines.rounds - rounds;
    const allowed = this.#store.keys.length * (watchedTicks + 2);
    invariant(looks <= allowed, `${looks} rounds in ${watchedTicks} ticks after the end, at most ${allowed} may be`);
    return true;
  }

  #calmTick(): void {
    this.#cluster.tick(tickMs, (route) => this.#errorRateOf(route));
    this.#engines.work();
    this.#witness.everyTick();
    this.#others.everyTick();
  }

  #errorRateOf(route: string): number {
    return this.#scenario.rollouts.find(({ name }) => name === route)?.errorRate ?? 0;
  }

  #engine(id: number): SimEngine {
    return new SimEngine({
      id,
      store: this.#store,
      cluster: this.#cluster,
      maxConcurrent: this.#scenario.maxConcurrent,
      plan: (rollout, journal) => simPlan(this.#cluster, this.#simOf(rollout), rollout, journal),
      refusal: (rollout) => this.#refusals.get(rollout.metadata.name ?? ""),
      isUnreadable: ({ metadata: { name = "" } }, what) => this.#unread.has(`${what} ${name}`),
      freezes: () => this.#freezes,
      now: () => ({ steadyMs: this.#cluster.nowMs, nowMs: this.#wallMs() }),
      isStale: () => !this.#isCalm() && this.#random() < this.#scenario.staleRate,
      isKilled: (journal, entries) => this.#isKilled(journal, entries),
      onDecision: (decided) => this.#stored(decided),
    });
  }

  #isKilled(journal: string, [first]: readonly JournalEntry[]): boolean {
    const step = `${journal} ${first?.step ?? ""}`;
    if (this.#scenario.killedBeforeWrites !== true || first === undefined || this.#killedIn.has(step)) return false;
    this.#killedIn.add(step);
    return true;
  }

  #simOf({ metadata }: Rollout): SimRollout {
    const found = this.#scenario.rollouts.find(({ name }) => name === metadata.name);
    invariant(found !== undefined, "a rollout of no scenario");
    return found;
  }

  #wallMs(): number {
    return epochMs + this.#cluster.nowMs + this.#wallOffsetMs;
  }

  #isCalm(): boolean {
    return this.#tick >= calmFromTick;
  }

  #stored(decided: Decided): void {
    const { key, rollout, decision, before } = decided;
    for (const action of decision.actions)
      if (action.type === "event") this.#note(`${key} ${action.reason}: ${action.message}`);
    if (decision.status.phase !== before.phase) this.#note(`${key} is ${decision.status.phase}`);
    const { candidate, run = 0 } = decision.status;
    const { name = "" } = rollout.metadata;
    if (run > 0 && candidate === this.#untried.get(name)) this.#untried.delete(name);
    if (decision.status.undo?.because === "leftover" && this.#isTakenBack(rollout)) this.#untried.delete(name);
    this.#witness.decided(decided, { wallMs: this.#wallMs(), freezes: this.#freezes });
  }

  #note(text: string): void {
    this.history.push(`tick ${this.#tick}: ${text}`);
  }

  /** Performs the actions of people and the faults of machines at this tick. */
  #people(): void {
    this.#scenario.rollouts.forEach((sim) => {
      if (sim.createdAtTick === this.#tick) this.#create(sim);
      this.#changeInStep(sim);
    });
    if (this.#tick === calmFromTick) this.#others.moveStrangers();
    // By then, an engine that has to read a journal has told of the change.
    if (this.#tick === calmFromTick + tellsWithinTicks)
      for (const name of this.#store.editedJournals.keys()) this.#store.restoreEdited(name);
    this.#cluster.loadChanges = !this.#isCalm();
    for (const disturbance of this.#scenario.disturbances) this.#disturb(disturbance);
    this.#others.heal();
    if (this.#scenario.lasting !== undefined) this.#last(this.#scenario.lasting);
    for (const key of this.#store.keys) {
      this.#abortAtStep(key);
      this.#answer(key);
    }
    for (const sim of this.#createdAgain) {
      if (this.#store.read(keyOf(sim)) !== undefined) continue;
      this.#createdAgain.delete(sim);
      this.#create(sim);
    }
  }

  /** Whether a person will roll it back after it has completed. */
  #isToBeAborted(key: string): boolean {
    return this.#scenario.rollouts.some((sim) => sim.abortedAfterEnd === true && keyOf(sim) === key);
  }

  /** A person writes another pod template into the Deployment of a Canary, which begins a run with it. */
  #changeTemplate(sim: SimRollout, template: string): void {
    const app = this.#cluster.find(objectsOf(sim).app);
    if (app === undefined || versionOf(app.fields.get(templatePointer)) === template) return;
    this.#cluster.setField(app, templatePointer, podTemplate(sim, template), "somebody");
    if (sim.watched && this.#store.read(keyOf(sim)) !== undefined) this.#untried.set(sim.name, template);
  }

  /** Whether a run has tried the template that a person has written last, or it runs, because somebody has resumed. */
  #isTried(sim: SimRollout): boolean {
    const template = this.#untried.get(sim.name);
    const running = this.#cluster.find(objectsOf(sim).app)?.running;
    return template === undefined || template === versionOf(running);
  }

  /** Whether the undo of an earlier object's run has taken its template back, which somebody has written again. */
  #isTakenBack(rollout: Rollout): boolean {
    const sim = this.#simOf(rollout);
    const template = this.#cluster.find(objectsOf(sim).app)?.fields.get(templatePointer);
    return this.#untried.get(sim.name) !== versionOf(template);
  }

  #changeInStep(sim: SimRollout): void {
    const { changedInStep } = sim;
    const { phase, step } = this.#store.read(keyOf(sim))?.status ?? {};
    if (changedInStep === undefined || this.#changed.has(sim.name) || step?.id !== changedInStep) return;
    if (phase === "RollingBack" || phase === "RolledBack" || this.#random() < 0.5) return;
    this.#changed.add(sim.name);
    this.#note(`${keyOf(sim)}: another template is written in step ${changedInStep}`);
    this.#changeTemplate(sim, "v9");
  }

  /** Somebody withdraws the template of a Deployment that does not run yet, and applies it again later. */
  #revert(sim: SimRollout, begins: boolean): void {
    if (begins) {
      const template = this.#others.revertApp(sim);
      if (template === undefined) return;
      this.#untried.delete(sim.name);
      this.#withdrawn.set(sim.name, template);
      return;
    }
    const template = this.#withdrawn.get(sim.name);
    if (template === undefined) this.#applyAgain(sim);
    else this.#changeTemplate(sim, template);
  }

  /** Somebody applies the template again that the Canary has rolled back. It may wait, if the status says so. */
  #applyAgain(sim: SimRollout): void {
    const { phase, candidate } = this.#store.read(keyOf(sim))?.status ?? {};
    const app = this.#cluster.find(objectsOf(sim).app);
    if (app === undefined || phase !== "RolledBack" || candidate === undefined) return;
    this.#cluster.setField(app, templatePointer, podTemplate(sim, candidate), "somebody");
    this.#untried.delete(sim.name);
  }

  #create(sim: SimRollout): void {
    if (sim.kind === "Canary" && this.#cluster.endedNamespaces.has(sim.namespace)) return;
    this.#note(`${keyOf(sim)} is created: ${JSON.stringify(sim)}`);
    this.#store.put(keyOf(sim), rolloutObject(sim, new Date(this.#wallMs()).toISOString()));
  }

  /**
   * Acts as the user: approves waiting steps, rolls back completed rollouts on request, and aborts stuck ones in the
   * quiet time after all disturbances.
   */
  #answer(key: string): void {
    const found = this.#store.read(key);
    const status = found?.status;
    if (found === undefined || status === undefined || this.#random() > 0.2) return;
    if (status.phase === "Completed" && this.#isToBeAborted(key) && !found.spec.abort) {
      this.#note(`${key} is put back after its end`);
      this.#store.patchSpec(key, { abort: true });
      return;
    }
    if (status.lostJournal !== undefined && status.lostJournal.accepted !== true)
      return this.#answerLoss(key, journalNameOf(found), status.lostJournal.at);
    if (status.message.includes("has changed its entries")) {
      this.#note(`${key}: its journal is as before: ${status.message}`);
      this.#store.restoreEdited(journalNameOf(found));
      return;
    }
    if (status.message.includes("delete this Canary") && found.metadata.deletionTimestamp === undefined) {
      const sim = this.#simOf(found);
      this.#note(`${key} is deleted, to be created again: ${status.message}`);
      this.#createdAgain.add(sim);
      this.#delete(sim);
      return;
    }
    if (this.#isCalm()) this.#others.relabel(status);
    const at = new Date(this.#wallMs()).toISOString();
    if (status.pauseReason === "approval" && status.step !== undefined) {
      // An approval of an earlier run does not apply to this one.
      const given = approvalsSince(found.spec.approvals, status.ordersBefore ?? {});
      if (status.ordersBefore !== undefined && given.some(({ step }) => step === status.step?.id)) return;
      this.#note(`${key}: ${status.step.id} is approved`);
      this.#store.patchSpec(key, {
        approvals: [...found.spec.approvals, { step: status.step.id, by: "me", why: "", at }].slice(-maxApprovals),
      });
    }
    if (
      this.#isCalm() &&
      status.phase === "Stuck" &&
      status.undo === undefined &&
      !found.spec.abort &&
      this.#tick > calmFromTick + 10
    ) {
      this.#note(`${key} is aborted: it is stuck: ${status.message}`);
      this.#store.patchSpec(key, { abort: true });
    }
  }

  /**
   * A person restores the journal from a backup. The status may name objects that were undone since it was written, of
   * which a backup has no entries. If it still asks after a while, the person ends the rollout without the journal.
   */
  #answerLoss(key: string, journal: string, at: string): void {
    const restoredAtTick = this.#restoredAtTick.get(journal);
    if (this.#store.lostJournals.has(journal)) {
      this.#note(`${key}: its journal is restored`);
      this.#store.restoreJournal(journal);
      this.#restoredAtTick.set(journal, this.#tick);
    } else if (restoredAtTick !== undefined && this.#tick - restoredAtTick > noticingTicks) {
      this.#note(`${key} ends without its journal`);
      this.#store.annotate(key, withoutJournalAnnotation, at);
    }
  }

  /** Rolls the rollout back as a person, as soon as the given number of steps is done. */
  #abortAtStep(key: string): void {
    const { abortedAfterSteps } = this.#scenario.rollouts.find((sim) => keyOf(sim) === key) ?? {};
    const { spec, status } = this.#store.read(key) ?? {};
    if (abortedAfterSteps === undefined || status === undefined || spec?.abort === true) return;
    if (status.completedSteps.length < abortedAfterSteps) return;
    this.#note(`${key} is put back after ${status.completedSteps.length} steps`);
    this.#store.patchSpec(key, { abort: true });
  }

  #disturb(disturbance: Disturbance): void {
    const begins = disturbance.atTick === this.#tick;
    const ends = "untilTick" in disturbance && disturbance.untilTick === this.#tick;
    if (!begins && !ends) return;
    const sim = "rollout" in disturbance ? this.#scenario.rollouts[disturbance.rollout] : undefined;
    this.#note(`${disturbance.type}${sim === undefined ? "" : ` ${sim.name}`} ${begins ? "begins" : "ends"}`);
    if (sim !== undefined && "rollout" in disturbance) this.#disturbRollout(disturbance, sim, begins);
    else this.#disturbAll(disturbance, begins);
  }

  #last({ type, atTick, rollout }: Lasting): void {
    const sim = this.#scenario.rollouts[rollout];
    if (this.#tick < atTick || sim === undefined) return;
    if (type === "controlPlaneGone") this.#cluster.controlPlaneUp = false;
    // The pods are lost when requests reach them.
    const { traffic } = this.#cluster;
    if (type === "losePods" && sim.kind === "Canary" && (traffic.canaryShare(sim) ?? 0) > 0)
      traffic.lostPods.add(sim.name);
    if (this.#tick > atTick) return;
    this.#note(`${type} of ${sim.name} begins and lasts`);
    if (type === "silence") traffic.silent.add(sim.name);
    if (type === "unanswered") traffic.unanswered.add(sim.name);
    if (type === "refused") this.#refuse(sim);
    if (type === "journalFull" || type === "refuse" || type === "rewrite")
      this.#disturbServer({ type, atTick, untilTick: patienceTicks, rollout }, sim, true);
    if (type === "unreadTarget" || type === "unreadJournal")
      this.#unread.add(`${type === "unreadTarget" ? "target" : "journal"} ${sim.name}`);
    if (type === "theirs")
      this.#others.meddle({ type: "meddle", atTick, untilTick: patienceTicks, rollout }, sim, true);
    if (type === "noBudget") for (const namespace of sim.moves ?? []) this.#cluster.withoutBudget.add(namespace);
    if (type === "selfHeal" || type === "noPods" || type === "badSpec" || type === "noRights")
      this.#disturbRollout({ type, atTick, untilTick: patienceTicks, rollout }, sim, true);
  }

  #refuse(sim: SimRollout): void {
    const object = sim.kind === "Canary" ? objectsOf(sim).route : namespaceOf(sim);
    if (object !== undefined) this.#cluster.refused.add(referenceKey(object));
  }

  #disturbAll(disturbance: Disturbance, begins: boolean): void {
    switch (disturbance.type) {
      case "controlPlaneDown":
        this.#cluster.controlPlaneUp = !begins;
        return;
      case "apiDown":
        this.#apiUp = !begins;
        return;
      case "clockJump":
        this.#wallOffsetMs += disturbance.byMs;
        return;
      case "freeze":
        this.#freezes = begins ? [freezeNow(this.#wallMs())] : [];
        return;
      case "freezeMoves":
        this.#freezes = [begins ? freezeNow(this.#wallMs(), 0, 5000) : freezeNow(this.#wallMs(), 5000, 10_000)];
        return;
      case "endNamespace":
        this.#endNamespace(disturbance.namespace);
        return;
      case "otherRelease":
        this.#engines.crash();
        for (const key of this.#store.keys)
          this.#store.rewriteStatus(key, disturbance.isOlder ? olderStatus : newerStatus);
        return;
      case "stopLeader":
        this.#engines.stopLeader(begins);
        return;
      case "noEngine":
        this.#engines.scale(begins ? 0 : 1);
        return;
      default:
    }
  }

  /** The Canaries of the namespace are deleted, and stay until they are undone. The other objects go one by one. */
  #endNamespace(namespace: string): void {
    this.#cluster.endedNamespaces.add(namespace);
    this.#cluster.objects.delete(referenceKey(reference("v1", "Namespace", namespace)));
    for (const sim of this.#scenario.rollouts) {
      if (sim.kind !== "Canary" || sim.namespace !== namespace) continue;
      this.#delete(sim);
    }
  }

  #delete(sim: SimRollout): void {
    this.#witness.deleted(keyOf(sim));
    this.#untried.delete(sim.name);
    this.#store.delete(keyOf(sim), new Date(this.#wallMs()).toISOString());
  }

  #disturbRollout(disturbance: Disturbance, sim: SimRollout, begins: boolean): void {
    const key = keyOf(sim);
    switch (disturbance.type) {
      case "abort":
        this.#store.patchSpec(key, { abort: true });
        return;
      case "promote":
        this.#store.patchSpec(key, { fullPromotion: { by: "me", why: "hurry" } });
        return;
      case "pause":
        this.#store.patchSpec(key, { paused: begins });
        return;
      case "delete":
        this.#delete(sim);
        return;
      case "recreate":
        if (this.#store.read(key) === undefined) return;
        this.#store.forceDelete(key);
        this.#untried.delete(sim.name);
        this.#create(sim);
        this.#witness.recreated(key);
        return;
      case "resume":
        this.#store.patchSpec(key, { paused: false, abort: false });
        return;
      case "edit":
        if (sim.kind === "Canary")
          this.#store.patchSpec(key, { steps: disturbance.steps.map((step) => specStep(step)) });
        return;
      case "editUpgrade":
        this.#store.patchSpec(key, { edited: disturbance.edited });
        return;
      case "vanish":
        this.#others.vanish(sim, begins);
        return;
      case "editChecks":
        if (sim.kind === "Canary")
          this.#store.patchSpec(key, { checks: specChecks(sim.canary ?? plainCanary, disturbance.minSamples) });
        return;
      case "remake":
        this.#others.remake(sim);
        return;
      case "selfHeal":
        this.#others.watchByGit(sim, begins);
        return;
      case "noPods":
        if (begins) this.#cluster.podsRefused.set(sim.name, (object) => ownsObject(sim, object));
        else this.#cluster.acceptPods(sim.name);
        return;
      case "losePods":
        if (sim.kind === "Canary" && begins) this.#cluster.traffic.lostPods.add(sim.name);
        else this.#cluster.traffic.lostPods.delete(sim.name);
        return;
      case "badSpec":
      case "noRights":
        if (begins) this.#refusals.set(sim.name, refusals[disturbance.type]);
        else this.#refusals.delete(sim.name);
        return;
      case "meddle":
      case "scaleGateway":
        this.#others.meddle(disturbance, sim, begins);
        return;
      default:
        this.#disturbServer(disturbance, sim, begins);
        this.#disturbApp(disturbance, sim, begins);
    }
  }

  #loseJournal(sim: SimRollout, isRestarted: boolean): void {
    this.#store.loseJournal(journalNameOf(rolloutObject(sim, "")));
    if (isRestarted) this.#engines.crash();
  }

  /** What the API server does to a rollout and its target. */
  #disturbServer(disturbance: Disturbance, sim: SimRollout, begins: boolean): void {
    const { refusedJournals } = this.#store;
    const { writesRefused, rewritten } = this.#cluster;
    const journal = journalNameOf(rolloutObject(sim, ""));
    if (disturbance.type === "editJournal") this.#store.editJournal(journal);
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

  /** What people do to the Deployment of a Canary, or to the workloads that an upgrade has made. */
  #disturbApp(disturbance: Disturbance, sim: SimRollout, begins: boolean): void {
    for (const namespace of disturbance.type === "noBudget" ? (sim.moves ?? []) : [])
      if (begins) this.#cluster.withoutBudget.add(namespace);
      else this.#cluster.withoutBudget.delete(namespace);
    if (disturbance.type === "noBudget" && !begins) this.#cluster.acceptPods(sim.name);
    if (disturbance.type === "extend") this.#others.extend(disturbance, sim, begins);
    if (disturbance.type === "loseMade") this.#others.loseMade(sim, begins);
    if (disturbance.type === "change") this.#changeTemplate(sim, disturbance.template);
    if (disturbance.type === "resumeApp") this.#others.resumeApp(sim);
    if (disturbance.type === "loseRoute") this.#others.loseRoute(sim);
    if (disturbance.type === "revertApp") this.#revert(sim, begins);
  }

  /** Whether a person is about to do what the status asks for, or what needs no status. */
  #isAnswered(rollout: Rollout): boolean {
    if (rollout.status?.message.includes("delete this Canary") === true) return true;
    return this.#store.editedJournals.has(journalNameOf(rollout));
  }

  #allAtRest(): boolean {
    return this.#store.keys.every((key) => {
      const rollout = this.#store.read(key);
      if (rollout !== undefined && this.#isAnswered(rollout)) return false;
      const phase = rollout?.status?.phase;
      if (rollout === undefined || rollout.metadata.deletionTimestamp !== undefined) return false;
      // A requested rollback must still happen, even after the end.
      if (phase === "Completed" && (rollout.spec.abort || this.#isToBeAborted(key))) return false;
      const isTried = this.#isTried(this.#simOf(rollout));
      if (phase === "Completed" || phase === "Watching") return isTried;
      if (phase === "RolledBack") return rollout.spec.abort || isTried;
      // A member of a group waits for a person after its partner was rolled back.
      return (
        phase === "Waiting" &&
        !isUnderWay(rollout.status as RolloutStatus) &&
        rollout.status?.pauseReason === "group-failed"
      );
    });
  }
}

/** How long an engine may take to report a lasting fault of the API server. */
function tellingTicks({ lasting }: Scenario): number {
  const isTold = lasting?.type === "unreadTarget" || lasting?.type === "unreadJournal";
  return isTold ? tellsWithinTicks : 0;
}

const refusals: Readonly<Record<"badSpec" | "noRights", Refusal>> = {
  badSpec: { reason: "spec", problem: "its target does not exist", remedy: "correct the spec" },
  noRights: { reason: "author", problem: "its author may not patch the route", remedy: "grant it" },
};

/** A freeze in the form that `serin freeze add` stores: without the fields that have defaults. */
function freezeNow(nowMs: number, inMs = 0, lastsMs = 600_000): Freeze {
  const at = (ms: number): string => new Date(ms).toISOString().slice(0, "2026-12-20T18:00:00".length);
  const spec = { reason: "test", windows: [{ start: at(nowMs + inMs), end: at(nowMs + inMs + lastsMs) }] };
  return { metadata: { name: "now" }, spec } as unknown as Freeze;
}
