import type { Clock } from "../clock.ts";
import { takeTurn } from "../take-turn.ts";

/**
 * The maximum number of waiting tasks of one caller. Each group of its tasks may take half of what its other groups
 * leave.
 */
const maxWaiting = 512;
/** The maximum number of callers with waiting tasks. */
const maxCallers = 64;
/** An idle thread ends after this time, which frees its memory. */
const idleMs = 300_000;

/** A thread that runs tasks. It may end at any task. */
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

/** The waiting tasks of a caller, by group. The caller's next turn goes to the first group. */
interface Caller<Task, Outcome> {
  readonly groups: Map<string, Waiting<Task, Outcome>[]>;
  /** The number of waiting tasks in all groups. */
  count: number;
}

/**
 * Runs tasks one at a time in a thread. If a task ends the thread, another one replaces it. Callers take turns, so that
 * a caller that floods the queue delays only itself. A caller's groups take turns too.
 */
export class TurnQueue<Task, Outcome> {
  readonly #start: () => TaskThread<Task, Outcome>;
  readonly #clock: Clock;
  /** The callers that have waiting tasks. The first one has the next turn. */
  readonly #waiting = new Map<string, Caller<Task, Outcome>>();
  #thread: TaskThread<Task, Outcome> | undefined;
  #idle: Disposable | undefined;
  #isRunning = false;
  #hasClosed = false;

  constructor(start: () => TaskThread<Task, Outcome>, clock: Clock) {
    this.#start = start;
    this.#clock = clock;
  }

  /** Starts the thread now, so that the first task need not wait for that. */
  warm(): void {
    if (!this.#hasClosed) this.#thread ??= this.#start();
  }

  /**
   * Runs the task in its turn. Returns undefined if too many tasks or callers wait, if the queue is closed, or if
   * `isWanted` returns false at the task's turn.
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
