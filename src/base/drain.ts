/**
 * Every component ends in the same way. Its `run(signal)` blocks until it is done. When the signal is aborted, it
 * accepts no new work, lets running work end, and returns. A {@link Shutdown} aborts such signals when the process gets
 * a termination signal: the first one asks to drain, the second one to close at once.
 */
export interface Shutdown {
  /** Aborted by the first request: drain, then end. */
  readonly drain: AbortSignal;
  /**
   * Aborted by the second request, or by the deadline after the first. The component then closes everything that is
   * left.
   */
  readonly force: AbortSignal;
}

/** The source of a {@link Shutdown}. Its owner calls {@link request}, for example for each signal to the process. */
export class ShutdownController implements Shutdown {
  readonly #drain = new AbortController();
  readonly #force = new AbortController();
  #requested = false;

  get drain(): AbortSignal {
    return this.#drain.signal;
  }

  get force(): AbortSignal {
    return this.#force.signal;
  }

  /** The first call drains, every later one forces. */
  request(reason: string): void {
    if (this.#requested) this.#force.abort(new Error(reason));
    else this.#drain.abort(new Error(reason));
    this.#requested = true;
  }

  /** Drains without a request, so that the first request afterwards does not force. */
  drainEarly(reason: string): void {
    this.#drain.abort(new Error(reason));
  }
}

/** A shutdown driven by SIGTERM and SIGINT of this process. */
export function shutdownOnSignals(): ShutdownController {
  const controller = new ShutdownController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => controller.request(name));
  return controller;
}

/** Resolves when the signal is aborted, or at once if it already is. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/**
 * Calls `run` once when the signal aborts, and at once if it already has. A plain event listener would miss an abort
 * that came first, for example during an `await`. Disposing the handle cancels the call. Without a signal, the call has
 * no effect.
 */
export function onAbort(signal: AbortSignal | undefined, run: () => void): Disposable {
  if (signal?.aborted === true) run();
  else signal?.addEventListener("abort", run, { once: true });
  return { [Symbol.dispose]: () => signal?.removeEventListener("abort", run) };
}
