import { Worker } from "node:worker_threads";
import type { Clock } from "../clock.ts";

export type ToThread<Task, Message> = { readonly task: Task } | { readonly message: Message };

export type FromThread<Answer, Notice> = "ready" | { readonly answer: Answer } | { readonly notice: Notice };

/** The answer of a task, or the limit that ended its thread: `overdue` for time, `exhausted` for memory. */
export type ThreadOutcome<Answer> =
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "overdue" | "exhausted" };

export interface TaskLimits {
  /** The limit of the thread's CPU time. It does not run out faster if other processes keep the machine busy. */
  readonly workMs: number;
  /** The limit of the time until the answer, at least {@link workMs}. */
  readonly waitMs: number;
}

/** The minimum pause between two readings of the CPU time. */
const shortestLookMs = 50;

/** The memory of a thread, in MiB. A task with an object of 3 MiB needs a tenth of it. */
const threadMemory = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 } as const;

/**
 * A thread for untrusted input, which runs tasks one after another. A task that takes too much time or memory ends only
 * the thread, and not the process. The thread's program must call {@link answerTasks}.
 */
export class LimitedThread<Task, Answer, Notice = never, Message = never> {
  readonly #worker: Worker;
  readonly #clock: Clock;
  #settle: ((outcome: ThreadOutcome<Answer>) => void) | undefined;
  readonly #ready: Promise<void>;
  hasEnded = false;

  /** `onNotice` receives what the thread sends before its answer. */
  constructor(program: URL, clock: Clock, onNotice: (notice: Notice) => void = () => undefined) {
    this.#clock = clock;
    const worker = new Worker(program, {
      resourceLimits: threadMemory,
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    this.#worker = worker;
    worker.unref();
    this.#ready = new Promise((resolve) => {
      worker.on("message", (message: FromThread<Answer, Notice>) => {
        if (message === "ready") resolve();
        else if ("notice" in message) onNotice(message.notice);
        else this.#finish({ kind: "answer", answer: message.answer });
      });
      // A thread that runs out of memory ends with an error event.
      for (const ended of ["error", "exit"] as const) {
        worker.on(ended, () => {
          this.hasEnded = true;
          resolve();
          this.#finish({ kind: "exhausted" });
        });
      }
    });
  }

  /** Runs a task. The time in which the thread starts does not count against the task. */
  async ask(task: Task, limits: TaskLimits): Promise<ThreadOutcome<Answer>> {
    this.#worker.ref();
    await this.#ready;
    if (this.hasEnded) return { kind: "exhausted" };
    const answered = new AbortController();
    const outcome = await new Promise<ThreadOutcome<Answer>>((resolve) => {
      const limit = this.#clock.after(limits.waitMs, () => this.#endOverdue());
      this.#settle = (found) => {
        limit[Symbol.dispose]();
        answered.abort();
        resolve(found);
      };
      this.#post({ task });
      if (limits.workMs < limits.waitMs) void this.#limitWork(limits.workMs, answered.signal);
    });
    this.#worker.unref();
    return outcome;
  }

  async #limitWork(workMs: number, answered: AbortSignal): Promise<void> {
    const before = await this.#workedMs();
    for (let leftMs = workMs; leftMs > 0;) {
      await this.#clock.sleep(Math.max(leftMs, shortestLookMs), answered).catch(() => undefined);
      // A thread inside a long native call does not report its CPU time before the call ends. Then the limit of the
      // wait ends it.
      const worked = await this.#workedMs();
      if (answered.aborted || before === undefined || worked === undefined) return;
      leftMs = workMs - (worked - before);
    }
    this.#endOverdue();
  }

  #endOverdue(): void {
    this.#finish({ kind: "overdue" });
    void this.end();
  }

  /** The CPU time of the thread since its start. Undefined if the thread has ended. */
  async #workedMs(): Promise<number | undefined> {
    const usage = await this.#worker.cpuUsage().catch(() => undefined);
    return usage === undefined ? undefined : (usage.user + usage.system) / 1000;
  }

  send(message: Message): void {
    this.#post({ message });
  }

  async end(): Promise<void> {
    this.hasEnded = true;
    this.#worker.ref();
    await this.#worker.terminate();
  }

  #post(posted: ToThread<Task, Message>): void {
    this.#worker.postMessage(posted);
  }

  #finish(outcome: ThreadOutcome<Answer>): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(outcome);
  }
}
