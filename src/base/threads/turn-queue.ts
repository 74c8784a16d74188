import type { Clock } from "../clock.ts";
import { takeTurn } from "../take-turn.ts";

/** The maximum number of waiting tasks of one caller. */
const maxWaiting = 256;
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

/**
 * Runs tasks one at a time in a thread, which is replaced if a task ends it. Callers take turns, so that a caller that
 * floods the queue delays only itself.
 */
export class TurnQueue<Task, Outcome> {
  readonly #start: () => TaskThread<Task, Outcome>;
  readonly #clock: Clock;
  /** The waiting tasks by caller. The caller with the next turn comes first. */
  readonly #waiting = new Map<string, Waiting<Task, Outcome>[]>();
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
  async run(caller: string, task: Task, isWanted = (): boolean => true): Promise<Outcome | undefined> {
    const mine = this.#waiting.get(caller) ?? [];
    if (this.#hasClosed || mine.length >= maxWaiting || (mine.length === 0 && this.#waiting.size >= maxCallers))
      return undefined;
    return await new Promise((settle) => {
      mine.push({ task, isWanted, settle });
      this.#waiting.set(caller, mine);
      if (!this.#isRunning) void this.#work();
    });
  }

  async close(): Promise<void> {
    this.#hasClosed = true;
    this.#idle?.[Symbol.dispose]();
    for (const mine of this.#waiting.values()) for (const { settle } of mine) settle(undefined);
    this.#waiting.clear();
    await this.#thread?.end();
  }

  async #work(): Promise<void> {
    this.#isRunning = true;
    this.#idle?.[Symbol.dispose]();
    for (let next = takeTurn(this.#waiting); next !== undefined; next = takeTurn(this.#waiting)) {
      const { task, isWanted, settle } = next.item;
      settle(isWanted() ? await this.#do(task) : undefined);
    }
    this.#isRunning = false;
    if (!this.#hasClosed)
      this.#idle = this.#clock.after(idleMs, () => {
        void this.#thread?.end();
        this.#thread = undefined;
      });
  }

  async #do(task: Task): Promise<Outcome> {
    if (this.#thread === undefined || this.#thread.hasEnded) this.#thread = this.#start();
    return await this.#thread.run(task);
  }
}
