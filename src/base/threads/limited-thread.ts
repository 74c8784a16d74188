import { Worker } from "node:worker_threads";
import type { Clock } from "../clock.ts";

/** What a thread is sent. */
export type ToThread<Task, Message> = { readonly task: Task } | { readonly message: Message };

/** What a thread sends. */
export type FromThread<Answer, Notice> = "ready" | { readonly answer: Answer } | { readonly notice: Notice };

/** The outcome of a task: its answer, or the limit that ended the thread. */
export type ThreadOutcome<Answer> =
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "overdue" | "exhausted" };

/** The memory of a thread in MiB. An object of 3 MiB with everything made from it takes a tenth of this. */
const threadMemory = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32 } as const;

/**
 * A thread for untrusted input. It runs tasks one after another. A task that takes too much time or memory ends the
 * thread, not the process. The thread's program calls {@link answerTasks}.
 */
export class LimitedThread<Task, Answer, Notice = never, Message = never> {
  readonly #worker: Worker;
  readonly #clock: Clock;
  #settle: ((outcome: ThreadOutcome<Answer>) => void) | undefined;
  readonly #ready: Promise<void>;
  hasEnded = false;

  /** `onNotice` receives the notices that the thread sends before its answer. */
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
      // A thread that runs out of memory ends with an error.
      for (const ended of ["error", "exit"] as const) {
        worker.on(ended, () => {
          this.hasEnded = true;
          resolve();
          this.#finish({ kind: "exhausted" });
        });
      }
    });
  }

  /** The time to start the thread does not count, because the task did not cause it. */
  async ask(task: Task, limitMs: number): Promise<ThreadOutcome<Answer>> {
    this.#worker.ref();
    await this.#ready;
    if (this.hasEnded) return { kind: "exhausted" };
    const outcome = await new Promise<ThreadOutcome<Answer>>((resolve) => {
      const limit = this.#clock.after(limitMs, () => {
        this.#finish({ kind: "overdue" });
        void this.end();
      });
      this.#settle = (found) => {
        limit[Symbol.dispose]();
        resolve(found);
      };
      this.#post({ task });
    });
    this.#worker.unref();
    return outcome;
  }

  /** Tells the thread something while it does a task. */
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
