import type { Random } from "../../base/index.ts";
import { Conflict, Killed, NotLeading, PatchRefused, Restored, Unreadable } from "./sim-errors.ts";
import type { Scenario } from "./scenario.ts";
import type { SimEngine } from "./sim-engine.ts";
import type { SimStore } from "./sim-store.ts";

/** Leaders renew their leases at every fourth tick. */
const renewalTicks = 4;

export interface EngineFleetOptions {
  readonly scenario: Scenario;
  readonly random: Random;
  readonly store: SimStore;
  readonly make: (id: number) => SimEngine;
  readonly isCalm: () => boolean;
  readonly isApiUp: () => boolean;
  readonly note: (text: string) => void;
}

/** The engines of a simulation, of which one leads. It kills, stops and scales them in the middle of their rounds. */
export class EngineFleet {
  readonly #scenario: Scenario;
  readonly #random: Random;
  readonly #store: SimStore;
  readonly #make: (id: number) => SimEngine;
  readonly #isCalm: () => boolean;
  readonly #isApiUp: () => boolean;
  readonly #note: (text: string) => void;
  readonly #rounds = new Map<SimEngine, Map<string, Generator<void, void>>>();
  #engines: SimEngine[];
  #stopped: SimEngine | undefined;
  #ticks = 0;

  constructor({ scenario, random, store, make, isCalm, isApiUp, note }: EngineFleetOptions) {
    this.#scenario = scenario;
    this.#random = random;
    this.#store = store;
    this.#make = (id) => {
      const engine = make(id);
      this.#rounds.set(engine, new Map());
      return engine;
    };
    this.#isCalm = isCalm;
    this.#isApiUp = isApiUp;
    this.#note = note;
    this.#engines = [this.#make(0)];
  }

  get rounds(): number {
    return this.#engines.reduce((sum, engine) => sum + engine.rounds, 0);
  }

  wake(key: string, afterMs: () => number): void {
    for (const engine of this.#engines) engine.wake(key, afterMs());
  }

  /** All pending requests fail, because the API server ends. */
  loseRequests(): void {
    for (const engine of this.#engines)
      for (const [key, round] of this.#rounds.get(engine) ?? []) {
        this.#advance(round, true);
        this.#rounds.get(engine)?.delete(key);
        engine.retry(key);
      }
  }

  work(): void {
    this.#ticks += 1;
    if (this.#ticks % renewalTicks === 0)
      for (const engine of this.#engines) if (engine !== this.#stopped && engine.isOutdated) this.crash(engine);
    for (const engine of this.#engines) if (engine !== this.#stopped) this.#work(engine);
  }

  /**
   * Runs the rounds of all due rollouts, taking one action of each in turn. Sometimes all rounds pause until the next
   * tick.
   */
  #work(engine: SimEngine): void {
    const rounds = this.#rounds.get(engine);
    if (rounds === undefined) return;
    for (const key of engine.takeDue()) {
      if (rounds.has(key)) engine.wake(key, 1);
      else rounds.set(key, engine.round(key));
    }
    while (rounds.size > 0) {
      for (const [key, round] of rounds) {
        if (!this.#isCalm() && this.#random() < 0.02) return;
        const fate = this.#isCalm() ? 1 : this.#random();
        if (fate < this.#scenario.crashRate) return this.crash(engine);
        const isLost = !this.#isApiUp() || fate < this.#scenario.crashRate + this.#scenario.lostRate;
        const outcome = this.#advance(round, isLost);
        if (outcome === "under way") continue;
        if (outcome === "killed") return this.crash(engine);
        rounds.delete(key);
        if (outcome === "failed") engine.retry(key);
      }
    }
  }

  /**
   * Runs a round to its next action. With `isLost`, the answer to its last action is lost: the round ends, although the
   * server may have done the write.
   */
  #advance(round: Generator<void, void>, isLost: boolean): "under way" | "over" | "failed" | "killed" {
    try {
      if (isLost) round.throw(new ApiDown());
      return round.next().done === true ? "over" : "under way";
    } catch (error) {
      if (error instanceof Killed || error instanceof Restored) return "killed";
      if (
        error instanceof ApiDown ||
        error instanceof Conflict ||
        error instanceof NotLeading ||
        error instanceof PatchRefused ||
        error instanceof Unreadable
      )
        return "failed";
      throw error;
    }
  }

  crash(engine: SimEngine | undefined = this.#engines[0]): void {
    const index = engine === undefined ? -1 : this.#engines.indexOf(engine);
    if (engine === undefined || index === -1) return;
    this.#rounds.delete(engine);
    // A former leader already has a successor, so nothing replaces it.
    if (engine.id !== this.#store.leader) {
      this.#note("the engine that led before dies");
      this.#engines.splice(index, 1);
      return;
    }
    this.#note("the engine dies, and another begins");
    this.#engines[index] = this.#make(engine.id);
  }

  /** Scales the engine. With 0, engines end at once, in the middle of their rounds. */
  scale(replicas: 0 | 1): void {
    this.#stopped = undefined;
    if (replicas === 0) this.#engines = [];
    else if (this.#engines.length === 0) {
      this.#store.leader += 1;
      this.#engines = [this.#make(this.#store.leader)];
    }
  }

  /**
   * With `begins`, stops the leader in the middle of its rounds, so that another engine takes over. Otherwise, the
   * stopped engine continues where it was, and ends.
   */
  stopLeader(begins: boolean): void {
    const [engine] = this.#engines;
    if (begins && engine !== undefined && this.#engines.length === 1) {
      this.#halfWay(engine);
      this.#stopped = engine;
      this.#store.leader += 1;
      this.#engines.push(this.#make(this.#store.leader));
    } else if (!begins && this.#stopped !== undefined) {
      const late = this.#stopped;
      this.#stopped = undefined;
      this.#work(late);
      this.#rounds.delete(late);
      this.#engines = this.#engines.filter((engine) => engine !== late);
    }
  }

  /** Begins a round of every rollout, and runs a random number of actions of each. */
  #halfWay(engine: SimEngine): void {
    const rounds = this.#rounds.get(engine);
    for (const key of this.#store.keys) {
      const round = rounds?.get(key) ?? engine.round(key);
      rounds?.set(key, round);
      for (let lines = Math.floor(this.#random() * 8); lines > 0; lines -= 1) {
        const outcome = this.#advance(round, false);
        if (outcome === "under way") continue;
        rounds?.delete(key);
        if (outcome === "failed") engine.retry(key);
        break;
      }
    }
  }
}

class ApiDown extends Error {}
