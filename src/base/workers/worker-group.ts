import type { Worker } from "node:worker_threads";
import { Backoff, messageOf, SerinError, transientError, type Clock, type Logger, type Random } from "../index.ts";
import { ThreadCalls, type CallTable, type Handlers } from "./thread-calls.ts";
import { watchWorker, type WatchLimits } from "./watch-worker.ts";

/** The part of a thread that a {@link WorkerGroup} uses. */
export type WorkerThread = Pick<Worker, "on" | "postMessage" | "terminate">;

/** A call that every worker answers at once, to show that it is not stuck. */
type LiveCalls = { readonly live: (nothing: undefined) => void };

/** Resolves to undefined if the worker does not answer. */
type Ask<Theirs extends CallTable> = <Name extends keyof Theirs & string>(
  name: Name,
  argument: Parameters<Theirs[Name]>[0],
) => Promise<ReturnType<Theirs[Name]> | undefined>;

export interface WorkerGroupOptions<Theirs extends CallTable, Ours extends CallTable> {
  readonly count: number;
  readonly spawn: (index: number) => WorkerThread;
  /** Answers the calls of this worker. */
  readonly handlers: (index: number) => Handlers<Ours>;
  /** Brings a new worker to the state of the others. These calls come before all others. */
  readonly onBegin: (ask: Ask<Theirs>, index: number) => void;
  /** Called when a worker has ended, before another takes its place. */
  readonly onEnd: (index: number) => void;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** The times after which a worker counts as stuck. */
  readonly watch?: WatchLimits;
}

interface LiveWorker<Theirs extends CallTable, Ours extends CallTable> {
  readonly thread: WorkerThread;
  readonly calls: ThreadCalls<Theirs, Ours>;
  readonly exited: Promise<void>;
}

const replaceInitialMs = 100;
const replaceMaxMs = 15_000;
/** A worker that lived this long did not end because of its initial data. */
const steadyAfterMs = 60_000;
/** How long a report waits for a worker. A probe or a scrape that asked for the report waits little longer. */
const answerLimitMs = 2000;
/** The time that a worker gets to end in an orderly way. */
const endLimitMs = 5000;

/** Keeps a number of workers alive, each in a thread. A worker that ends or no longer answers is replaced. */
export class WorkerGroup<Theirs extends CallTable & LiveCalls, Ours extends CallTable> {
  readonly count: number;
  readonly #options: WorkerGroupOptions<Theirs, Ours>;
  readonly #live = new Map<number, LiveWorker<Theirs, Ours>>();
  /** The workers whose answer to an earlier report is still missing. */
  readonly #silent = new Set<number>();
  /** The workers that have answered once. */
  readonly #begun = new Set<number>();
  readonly #ended = new AbortController();
  #lostAtMs = -Infinity;
  /** Resolves when a worker lives, or when none will be started any more. */
  #someLives = Promise.withResolvers<void>();

  constructor(options: WorkerGroupOptions<Theirs, Ours>) {
    this.#options = options;
    this.count = options.count;
  }

  /** The workers that live now. */
  get live(): readonly number[] {
    return [...this.#live.keys()];
  }

  /** When a worker ended last, on the steady clock. */
  get lostAtMs(): number {
    return this.#lostAtMs;
  }

  /** Waits while all workers have ended and none of their replacements has begun. */
  async untilSomeLives(): Promise<void> {
    await this.#someLives.promise;
  }

  start(): void {
    for (let index = 0; index < this.count; index += 1) void this.#keep(index);
  }

  /** Rejects with the worker's error, or if the worker has ended. */
  async call<Name extends keyof Theirs & string>(
    index: number,
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
  ): Promise<ReturnType<Theirs[Name]>> {
    const worker = this.#live.get(index);
    if (worker === undefined) throw transientError("worker-ended", `worker ${index} is not running at the moment`);
    return await worker.calls.call(name, argument);
  }

  /** Calls all workers, or all others. A worker that ends before its answer is left out. */
  async each<Name extends keyof Theirs & string>(
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
    onAnswer: (index: number, answer: ReturnType<Theirs[Name]>) => void = () => undefined,
    except?: number,
  ): Promise<void> {
    await Promise.all(
      [...this.#live].map(async ([index, { calls }]) => {
        if (index === except) return;
        try {
          onAnswer(index, await calls.call(name, argument));
        } catch (error) {
          // The answer belongs to a worker that has ended and was replaced.
          this.#options.log.debug("a worker did not answer", { call: name, error: messageOf(error) });
        }
      }),
    );
  }

  /** The answers of the workers that live long enough to answer. */
  async all<Name extends keyof Theirs & string>(
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
  ): Promise<ReturnType<Theirs[Name]>[]> {
    const answers: ReturnType<Theirs[Name]>[] = [];
    await this.each(name, argument, (_index, answer) => answers.push(answer));
    return answers;
  }

  /**
   * Calls all workers for a report, and waits for each at most {@link answerLimitMs}, because one that is stuck would
   * otherwise delay the report until it is replaced. Does not wait again for a worker whose last answer is missing.
   * Returns the workers that have not answered.
   */
  async inTime<Name extends keyof Theirs & string>(
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
    onAnswer: (index: number, answer: ReturnType<Theirs[Name]>) => void,
  ): Promise<readonly number[]> {
    const asked = [...this.#live.keys()];
    const left = new Set(asked);
    let isOver = false;
    const calls = asked.map(async (index) => {
      const worker = this.#live.get(index);
      try {
        const answer = await worker?.calls.call(name, argument);
        if (!isOver) onAnswer(index, answer as ReturnType<Theirs[Name]>);
      } catch (error) {
        this.#options.log.debug("a worker did not answer", { call: name, error: messageOf(error) });
        // The worker has not answered earlier calls either, so it stays in `left`.
        if (error instanceof SerinError && error.code === "busy") return;
      }
      left.delete(index);
      if (this.#live.get(index) === worker) this.#silent.delete(index);
    });
    await this.#untilLimit(Promise.all(calls.filter((_call, place) => !this.#silent.has(asked[place] ?? -1))));
    isOver = true;
    for (const index of left) this.#note(index);
    return [...left];
  }

  /** The answer of one worker, because all would give the same. Undefined if none answers in time. */
  async anyInTime<Name extends keyof Theirs & string>(
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
  ): Promise<ReturnType<Theirs[Name]> | undefined> {
    for (const index of this.live.toSorted((a, b) => Number(this.#silent.has(a)) - Number(this.#silent.has(b)))) {
      const call = this.call(index, name, argument).then(
        (answer) => ({ answer }),
        () => "ended" as const,
      );
      const found = await this.#untilLimit(call);
      if (found === undefined) this.#note(index);
      else if (found !== "ended") return found.answer;
    }
    return undefined;
  }

  /** Calls all workers, or all others, and does not wait for answers. */
  tell<Name extends keyof Theirs & string>(name: Name, argument: Parameters<Theirs[Name]>[0], except?: number): void {
    void this.each(name, argument, undefined, except);
  }

  /** A worker that ends is no longer replaced. */
  stopReplacing(): void {
    this.#ended.abort();
    this.#someLives.resolve();
  }

  /** Ends all workers when `inOrder` resolves, or by force if it takes too long. */
  async end(inOrder: Promise<unknown>): Promise<void> {
    this.stopReplacing();
    const { clock, log } = this.#options;
    const limit = new AbortController();
    const inTime = await Promise.race([
      inOrder.then(() => true),
      clock.sleep(endLimitMs, limit.signal).then(
        () => false,
        () => false,
      ),
    ]);
    limit.abort();
    if (!inTime) log.warn("workers did not end in time; killing them", { limit_ms: endLimitMs });
    await Promise.all([...this.#live.values()].map(({ thread }) => thread.terminate()));
  }

  /** Resolves to undefined at the limit. */
  async #untilLimit<Value>(work: Promise<Value>): Promise<Value | undefined> {
    const limit = new AbortController();
    const late = this.#options.clock.sleep(answerLimitMs, limit.signal).then(
      () => undefined,
      () => undefined,
    );
    const found = await Promise.race([work, late]);
    limit.abort();
    return found;
  }

  #note(index: number): void {
    if (this.#silent.has(index) || !this.#live.has(index)) return;
    this.#silent.add(index);
    // Skip a worker that is starting, because it answers only when it has loaded its program.
    if (!this.#begun.has(index)) return;
    this.#options.log.warn("a worker does not answer; reports leave it out until it does", {
      worker: index,
      limit_ms: answerLimitMs,
    });
  }

  /** Keeps one worker alive, and replaces it when it ends. Never throws. */
  async #keep(index: number): Promise<void> {
    const { clock, random, log } = this.#options;
    const backoff = new Backoff({ initialMs: replaceInitialMs, maxMs: replaceMaxMs, random });
    while (!this.#ended.signal.aborted) {
      const bornMs = clock.steadyMs();
      const trouble = await this.#serve(index);
      if (this.#ended.signal.aborted) return;
      if (clock.steadyMs() - bornMs >= steadyAfterMs) backoff.reset();
      const waitMs = backoff.nextMs();
      log.error("a worker has ended; its connections are lost, and a new worker replaces it", {
        worker: index,
        error: trouble,
        wait_ms: Math.round(waitMs),
      });
      await clock.sleep(waitMs, this.#ended.signal).catch(() => undefined);
    }
  }

  /** Runs one worker to its end. Returns why it ended. */
  async #serve(index: number): Promise<string> {
    const { clock, watch, onEnd } = this.#options;
    let trouble = "it ended";
    const exit = new AbortController();
    try {
      const worker = this.#begin(index, (error) => (trouble = messageOf(error)));
      this.#live.set(index, worker);
      this.#someLives.resolve();
      const onStuck = (forMs: number): void => {
        trouble = `it has not answered for ${forMs} ms`;
        void worker.thread.terminate();
      };
      const ask = async (): Promise<void> => {
        await worker.calls.call("live", undefined);
        this.#begun.add(index);
      };
      void watchWorker({ ask, onStuck, clock, ...(watch === undefined ? {} : { limits: watch }) }, exit.signal);
      await worker.exited;
      this.#lostAtMs = clock.steadyMs();
      this.#live.delete(index);
      this.#silent.delete(index);
      this.#begun.delete(index);
      if (this.#live.size === 0 && !this.#ended.signal.aborted) this.#someLives = Promise.withResolvers<void>();
      worker.calls.close(transientError("worker-ended", `a worker has ended: ${trouble}`));
      onEnd(index);
    } catch (error) {
      trouble = messageOf(error);
    }
    exit.abort();
    return trouble;
  }

  #begin(index: number, onError: (error: unknown) => void): LiveWorker<Theirs, Ours> {
    const { spawn, handlers, onBegin } = this.#options;
    const thread = spawn(index);
    thread.on("error", onError);
    const exited = new Promise<void>((done) => thread.on("exit", () => done()));
    const calls = new ThreadCalls<Theirs, Ours>(thread, handlers(index));
    onBegin(async (name, argument) => await calls.call(name, argument).catch(() => undefined), index);
    return { thread, calls, exited };
  }
}
