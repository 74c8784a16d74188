import type { Worker } from "node:worker_threads";
import { Backoff, messageOf, SerinError, transientError, type Clock, type Logger, type Random } from "../index.ts";
import { ThreadCalls, type CallTable, type Handlers } from "./thread-calls.ts";
import { watchWorker, type WatchLimits } from "./watch-worker.ts";

export type WorkerThread = Pick<Worker, "on" | "postMessage" | "terminate">;

/** A call that every worker answers at once if it is not stuck. */
type LiveCalls = { readonly live: (nothing: undefined) => void };

/** Resolves to undefined if the worker does not answer. */
type Ask<Theirs extends CallTable> = <Name extends keyof Theirs & string>(
  name: Name,
  argument: Parameters<Theirs[Name]>[0],
) => Promise<ReturnType<Theirs[Name]> | undefined>;

export interface WorkerGroupOptions<Theirs extends CallTable, Ours extends CallTable> {
  readonly count: number;
  readonly spawn: (index: number) => WorkerThread;
  readonly handlers: (index: number) => Handlers<Ours>;
  /** Brings a new worker to the state of the others. The calls that it makes come before all others. */
  readonly onBegin: (ask: Ask<Theirs>, index: number) => void;
  /** Called when a worker has ended, before another one replaces it. */
  readonly onEnd: (index: number) => void;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly watch?: WatchLimits;
}

interface LiveWorker<Theirs extends CallTable, Ours extends CallTable> {
  readonly thread: WorkerThread;
  readonly calls: ThreadCalls<Theirs, Ours>;
  readonly exited: Promise<void>;
}

const replaceInitialMs = 100;
const replaceMaxMs = 15_000;
/**
 * If a worker has lived this long, it did not end because of its initial data, so its replacement starts without a
 * longer delay.
 */
const steadyAfterMs = 60_000;
/**
 * How long a report waits for a worker. A probe or a scrape that asks for the report does not wait much longer itself.
 */
const answerLimitMs = 2000;
/** How long a worker may take to end by itself. */
const endLimitMs = 5000;

/** Keeps a number of workers alive, each in a thread. Replaces a worker that ends or no longer answers. */
export class WorkerGroup<Theirs extends CallTable & LiveCalls, Ours extends CallTable> {
  readonly count: number;
  readonly #options: WorkerGroupOptions<Theirs, Ours>;
  readonly #live = new Map<number, LiveWorker<Theirs, Ours>>();
  /** The workers that have not answered an earlier report. */
  readonly #silent = new Set<number>();
  /** The workers that have answered at least once. */
  readonly #begun = new Set<number>();
  readonly #ended = new AbortController();
  #lostAtMs = -Infinity;
  /** Resolves when a worker lives, or when no worker will be started any more. */
  #someLives = Promise.withResolvers<void>();

  constructor(options: WorkerGroupOptions<Theirs, Ours>) {
    this.#options = options;
    this.count = options.count;
  }

  get live(): readonly number[] {
    return [...this.#live.keys()];
  }

  /** When the last worker ended, on the steady clock. */
  get lostAtMs(): number {
    return this.#lostAtMs;
  }

  /** Waits as long as all workers have ended and no replacement has begun. */
  async untilSomeLives(): Promise<void> {
    await this.#someLives.promise;
  }

  start(): void {
    for (let index = 0; index < this.count; index += 1) void this.#keep(index);
  }

  /** Calls one worker. Rejects with the worker's error, or if the worker has ended. */
  async call<Name extends keyof Theirs & string>(
    index: number,
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
  ): Promise<ReturnType<Theirs[Name]>> {
    const worker = this.#live.get(index);
    if (worker === undefined) throw transientError("worker-ended", `worker ${index} is not running at the moment`);
    return await worker.calls.call(name, argument);
  }

  /** Calls all workers, or all except one. Leaves out a worker that ends before its answer. */
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
          // The worker may have ended and been replaced since the call.
          this.#options.log.debug("a worker did not answer", { call: name, error: messageOf(error) });
        }
      }),
    );
  }

  /** The answers of all workers. A worker that ends before its answer is left out. */
  async all<Name extends keyof Theirs & string>(
    name: Name,
    argument: Parameters<Theirs[Name]>[0],
  ): Promise<ReturnType<Theirs[Name]>[]> {
    const answers: ReturnType<Theirs[Name]>[] = [];
    await this.each(name, argument, (_index, answer) => answers.push(answer));
    return answers;
  }

  /**
   * Calls all workers for a report, and returns those that have not answered. It waits for each at most {@link
   * answerLimitMs}, because a stuck one would otherwise delay the report until it is replaced. It does not wait for a
   * worker that has not answered an earlier report.
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
        // A worker that is `busy` has not answered earlier calls either, so it stays in `left`.
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

  /** The answer of any one worker, for calls that all workers answer alike. Undefined if none answers in time. */
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

  /** Calls all workers, or all except one, without waiting for answers. */
  tell<Name extends keyof Theirs & string>(name: Name, argument: Parameters<Theirs[Name]>[0], except?: number): void {
    void this.each(name, argument, undefined, except);
  }

  /** From now on, a worker that ends is not replaced. */
  stopReplacing(): void {
    this.#ended.abort();
    this.#someLives.resolve();
  }

  /** Ends all workers when `inOrder` has resolved, or by force if that takes longer than the limit. */
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

  /** Resolves like `work`, or to undefined at the limit. */
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
    // Do not report a worker that is still starting. It answers when it has loaded its program.
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

  /** Runs one worker until it ends. Returns why it ended. */
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
