import type { Clock } from "../clock.ts";
import { takeTurn } from "../take-turn.ts";

/** The maximum number of waiting tasks of one caller. Each of its groups may have half of what the others leave. */
const maxWaiting = 512;
/** The maximum number of callers with waiting tasks. */
const maxCallers = 64;
/** An idle thread ends after this time, to free its memory. */
const idleMs = 300_000;

/** A thread that runs tasks until it has ended. */
export interface TaskThread<Task, Outcome> {
  readonly hasEnded: boolean;
  run(task: Task): Promise<Outcome>;
  end(): Promise<void>;
}

interface Waiting<Task, Outcome> {
  readonly task: Task;
  readonly isWanted: () => boolean;
  readonly settle: (outcome: Outcome | undefined) => void;
}

/** A caller's waiting tasks by group. At the caller's next turn, a task of the first group runs. */
interface Caller<Task, Outcome> {
  readonly groups: Map<string, Waiting<Task, Outcome>[]>;
  /** The number of tasks of all groups. */
  count: number;
}

/**
 * Runs tasks one at a time in a thread, which is replaced if a task ends it. Callers take turns, so that a caller that
 * floods the queue delays only itself. In each of its turns, a caller takes a task of its next group.
 */
export class TurnQueue<Task, Outcome> {
  readonly #start: () => TaskThread<Task, Outcome>;
  readonly #clock: Clock;
  /** The callers with waiting tasks. The one with the next turn comes first. */
  readonly #waiting = new Map<string, Caller<Task, Outcome>>();
  #thread: TaskThread<Task, Outcome> | undefined;
  #idle: Disposable | undefined;
  #isRunning = false;
  #hasClosed = false;

  constructor(start: () => TaskThread<Task, Outcome>, clock: Clock) {
    this.#start = start;
    this.#clock = clock;
  }

  /** Starts the thread, so that the first task does not wait for that. */
  warm(): void {
    if (!this.#hasClosed) this.#thread ??= this.#start();
  }

  /**
   * Runs the task in its turn. Returns undefined if too many tasks wait, or if the caller no longer needs the outcome.
   */
  async run(caller: string, task: Task, isWanted = (): boolean => true, group = ""): Promise<Outcome | undefined> {
    const known = this.#waiting.get(caller);
    if (this.#hasClosed || (known === undefined && this.#waiting.size >= maxCallers)) return undefined;
    const waiting: Caller<Task, Outcome> = known ?? { groups: new Map(), count: 0 };
    const mine = waiting.groups.get(group) ?? [];
    const ofOthers = waiting.count - mine.length;
    if (mine.length + 1 > (maxWaiting - ofOthers) / 2) return undefined;
    return await new Promise((settle) => {
      mine.push({ task, isWanted, settle });
      waiting.count += 1;
      waiting.groups.set(group, mine);
      this.#waiting.set(caller, waiting);
      if (!this.#isRunning) void this.#work();
    });
  }

  async close(): Promise<void> {
    this.#hasClosed = true;
    this.#idle?.[Symbol.dispose]();
    for (const { groups } of this.#waiting.values())
      for (const { settle } of [...groups.values()].flat()) settle(undefined);
    this.#waiting.clear();
    await this.#thread?.end();
  }

  async #work(): Promise<void> {
    this.#isRunning = true;
    this.#idle?.[Symbol.dispose]();
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { task, isWanted, settle } = next;
      settle(isWanted() ? await this.#do(task) : undefined);
    }
    this.#isRunning = false;
    if (!this.#hasClosed)
      this.#idle = this.#clock.after(idleMs, () => {
        void this.#thread?.end();
        this.#thread = undefined;
      });
  }

  #next(): Waiting<Task, Outcome> | undefined {
    for (const [name, caller] of this.#waiting) {
      const turn = takeTurn(caller.groups);
      caller.count -= 1;
      this.#waiting.delete(name);
      if (caller.groups.size > 0) this.#waiting.set(name, caller);
      if (turn !== undefined) return turn.item;
    }
    return undefined;
  }

  async #do(task: Task): Promise<Outcome> {
    if (this.#thread === undefined || this.#thread.hasEnded) this.#thread = this.#start();
    return await this.#thread.run(task);
  }
}
