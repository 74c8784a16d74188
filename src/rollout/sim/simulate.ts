import { invariant, messageOf, type Random, seededRandom } from "../../base/index.ts";
import { isRestingPhase, type JournalEntry } from "../../api/serin/index.ts";
import { isUnderWay, undoPatienceMs } from "../decide/index.ts";
import type { Rollout } from "../engine/rollout-object.ts";
import { failingRoundsMs } from "../engine/round-memory.ts";
import { canaryBefore } from "./canary-before.ts";
import { EngineFleet } from "./engine-fleet.ts";
import { Faults } from "./faults.ts";
import { injectingRevision } from "./mesh-model.ts";
import { ModelCluster, rollMs } from "./model-cluster.ts";
import { OtherWriters } from "./other-writers.ts";
import { People } from "./people.ts";
import { calmFromTick, tickMs, type Scenario } from "./scenario.ts";
import { SimEngine } from "./sim-engine.ts";
import { isSidecarWorkload, meshBefore, operatedMesh } from "./sim-mesh.ts";
import { SimTime, type SimParts } from "./sim-parts.ts";
import { simOf, simPlan } from "./sim-plan.ts";
import { SimStore } from "./sim-store.ts";
import { Witness } from "./witness/witness.ts";
import type { Decided } from "./witness/decided.ts";

export interface SimResult {
  readonly failure: string | undefined;
  readonly history: readonly string[];
}

/**
 * All rollouts must end by this tick. The number allows that they run one after another, and that each undo waits as
 * long as it may.
 */
const patienceTicks = calmFromTick + 8000 + Math.ceil(undoPatienceMs / tickMs);
/**
 * With a lasting fault, the simulation ends when no status has changed for this long. It exceeds the limits of checks.
 */
const lastingTicks = 1400;
/**
 * A Deployment may roll out for this long after the undo of its Canary, which then waits for a person and does not hold
 * the Deployment. The rollout's status changes meanwhile, because it contains the plan. {@link watchedTicks} is so
 * short that a new engine does not yet store a status of which only the texts have changed.
 */
const settlingTicks = Math.ceil(rollMs / tickMs) + 2;
const watchedTicks = 12;
/** An engine reports within this time that it cannot read a journal. */
const tellsWithinTicks = Math.ceil(failingRoundsMs / tickMs) + watchedTicks;
/** The beginning of each failure because a rollout does not end. */
export const unendedText = "never came to its end";
/** Matches a message that names a command, a person's action, or another rollout, freeze or group to wait for. */
const saysWhoMustAct =
  /resolve it|restore it|Restore this RolloutJournal|a person must|promote|approv|abort|correct what it names|resume|until a person acts|waits itself|let the budget allow it|freeze|was rolled back; change it|changed by somebody else|correct the spec|grant it/;

/** Runs one scenario to its end. Returns its history, and the failure if an invariant was violated. */
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
  readonly #others: OtherWriters;
  readonly #time: SimTime;
  readonly #people: People;
  readonly #faults: Faults;
  readonly #engines: EngineFleet;
  /** The steps before whose writes an engine was killed, each after its journal's name. */
  readonly #killedIn = new Set<string>();
  #lastStates = "";
  #statesSinceTick = 0;

  constructor(scenario: Scenario) {
    const random = seededRandom(scenario.seed ^ 0x5e_ed);
    const cluster = new ModelCluster(random);
    const store = this.#store;
    const witness = new Witness(scenario, cluster, store);
    const others = new OtherWriters({ random, cluster, store, witness, rollouts: scenario.rollouts });
    const time = new SimTime(cluster);
    const note = (text: string): void => this.#note(text);
    const parts: SimParts = { scenario, random, cluster, store, witness, others, time, note };
    this.#scenario = scenario;
    this.#random = random;
    this.#cluster = cluster;
    this.#witness = witness;
    this.#others = others;
    this.#time = time;
    this.#people = new People(parts);
    this.#faults = new Faults({
      ...parts,
      people: this.#people,
      engines: () => this.#engines,
      lastTick: patienceTicks,
    });
    this.#build();
    this.#engines = new EngineFleet({
      scenario,
      random,
      store,
      make: (id) => this.#engine(id),
      isCalm: () => time.isCalm,
      isApiUp: () => this.#faults.isApiUp,
      note,
    });
    store.watchers.add((key) => this.#engines.wake(key, () => (this.#isLate() ? 3 * tickMs : 0)));
  }

  #isLate(): boolean {
    return !this.#time.isCalm && this.#random() < this.#scenario.staleRate;
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
    for (; this.#time.tick < patienceTicks; this.#time.tick += 1) {
      this.#disturb();
      this.#work();
      if (this.#time.tick > calmFromTick + tellingTicks(this.#scenario) && this.#isOver() && this.#staysOver())
        return this.#witness.atTheEnd();
    }
    throw new Error(`${unendedText}: ${this.#states()}`);
  }

  #disturb(): void {
    const { tick } = this.#time;
    const { disturbances, lasting } = this.#scenario;
    this.#people.begin();
    if (tick === calmFromTick) this.#others.moveStrangers();
    // Until this tick, an engine that has to read a changed journal must report that. Now somebody takes the changes
    // back.
    if (tick === calmFromTick + tellsWithinTicks)
      for (const name of this.#store.editedJournals.keys()) this.#store.restoreEdited(name);
    this.#cluster.loadChanges = !this.#time.isCalm;
    for (const disturbance of disturbances) this.#faults.disturb(disturbance);
    this.#others.heal();
    if (lasting !== undefined) this.#faults.last(lasting);
    this.#people.react();
  }

  #work(): void {
    this.#cluster.tick(tickMs, (route) => this.#errorRateOf(route));
    this.#engines.work();
    this.#witness.everyTick();
    this.#others.everyTick();
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

  /**
   * Whether all rollouts have ended. With a lasting fault, they may also wait, but then each message must say for whom.
   */
  #isOver(): boolean {
    if (this.#allAtRest()) return true;
    if (this.#scenario.lasting === undefined) return false;
    // If the server refuses the journal, the messages change while a new engine counts failures, so only the phases
    // must stay the same.
    const states = this.#scenario.lasting.type === "journalFull" ? this.#phases() : this.#states();
    if (states !== this.#lastStates) [this.#lastStates, this.#statesSinceTick] = [states, this.#time.tick];
    if (this.#time.tick - this.#statesSinceTick < lastingTicks) return false;
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

  /**
   * Checks that a new engine changes nothing after the end, and begins no more rounds than waiting rollouts need.
   * Returns false if a rollout goes on.
   */
  #staysOver(): boolean {
    this.#engines.crash();
    this.#witness.engineRestarted();
    for (let more = 0; more < settlingTicks; more += 1) this.#work();
    if (!this.#isOver()) return false;
    const version = this.#store.version;
    const rounds = this.#engines.rounds;
    for (let more = 0; more < watchedTicks; more += 1) this.#work();
    const written = this.#store.version - version;
    const most = this.#scenario.lasting === undefined ? 0 : this.#store.keys.length * 2;
    invariant(written <= most, `${written} writes in ${watchedTicks} ticks after the end: ${this.#states()}`);
    const looks = this.#engines.rounds - rounds;
    const allowed = this.#store.keys.length * (watchedTicks + 2);
    invariant(looks <= allowed, `${looks} rounds in ${watchedTicks} ticks after the end, at most ${allowed} may be`);
    return true;
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
      plan: (rollout, journals) => simPlan(this.#cluster, simOf(this.#scenario.rollouts, rollout), rollout, journals),
      refusal: (rollout) => this.#faults.refusalOf(rollout),
      isUnreadable: (rollout, what) => this.#faults.isUnreadable(rollout, what),
      freezes: () => this.#faults.freezes,
      now: () => ({ steadyMs: this.#cluster.nowMs, nowMs: this.#wallMsOf(id) }),
      isStale: () => this.#isLate(),
      isKilled: (journal, entries) => this.#isKilled(journal, entries),
      onDecision: (decided) => this.#stored(decided, this.#wallMsOf(id)),
    });
  }

  #isKilled(journal: string, [first]: readonly JournalEntry[]): boolean {
    const step = `${journal} ${first?.step ?? ""}`;
    if (this.#scenario.killedBeforeWrites !== true || first === undefined || this.#killedIn.has(step)) return false;
    this.#killedIn.add(step);
    return true;
  }

  /** The wall clock of a leader. Every second leader runs on a node with another clock. */
  #wallMsOf(engine: number): number {
    return this.#time.wallMs + (engine % 2 === 0 ? 0 : (this.#scenario.clockSkewMs ?? 0));
  }

  #stored(decided: Decided, wallMs: number): void {
    const { key, decision, before } = decided;
    for (const action of decision.actions)
      if (action.type === "event") this.#note(`${key} ${action.reason}: ${action.message}`);
    if (decision.status.phase !== before.phase) this.#note(`${key} is ${decision.status.phase}`);
    this.#people.stored(decided);
    this.#witness.decided(decided, { wallMs, freezes: this.#faults.freezes });
  }

  #note(text: string): void {
    this.history.push(`tick ${this.#time.tick}: ${text}`);
  }

  #allAtRest(): boolean {
    return !this.#people.isToCreate && this.#store.keys.every((key) => this.#isAtRest(key, this.#store.read(key)));
  }

  #isAtRest(key: string, rollout: Rollout | undefined): boolean {
    if (rollout === undefined || rollout.metadata.deletionTimestamp !== undefined) return false;
    if (this.#people.isToAnswer(rollout)) return false;
    const { status } = rollout;
    if (isRestingPhase(status?.phase)) return this.#people.isContent(key, rollout);
    // A member of a group that waits for a person, because its partner was rolled back, counts as ended.
    return status?.phase === "Waiting" && !isUnderWay(status) && status.pauseReason === "group-failed";
  }
}

/** An engine must have reported a lasting fault of the API server after this number of quiet ticks. */
function tellingTicks({ lasting }: Scenario): number {
  const isTold = lasting?.type === "unreadTarget" || lasting?.type === "unreadJournal";
  return isTold ? tellsWithinTicks : 0;
}
