/**
 * How a process ends. Every component has a `run(signal)`, which returns when the component has ended. When the signal
 * aborts, the component accepts no new work, lets running work end, and returns. A {@link Shutdown} aborts such signals
 * when the process gets termination signals: the first one asks to drain, and the second one to close at once.
 */
export interface Shutdown {
  /** Aborted by the first request. A component then drains and ends. */
  readonly drain: AbortSignal;
  /**
   * Aborted by the second request, or at the deadline after the first. A component then closes everything that is left.
   */
  readonly force: AbortSignal;
}

/** The source of a {@link Shutdown}. Its owner calls {@link request} for each termination signal, for example. */
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

  /** Drains at the first call, and forces the end at every later one. */
  request(reason: string): void {
    if (this.#requested) this.#force.abort(new Error(reason));
    else this.#drain.abort(new Error(reason));
    this.#requested = true;
  }

  /** Drains without a request, so that the first request after it does not force the end. */
  drainEarly(reason: string): void {
    this.#drain.abort(new Error(reason));
  }
}

export function shutdownOnSignals(): ShutdownController {
  const controller = new ShutdownController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => controller.request(name));
  return controller;
}

/** Resolves when the signal aborts, or at once if it already has. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/**
 * Calls `run` once when the signal aborts, or at once if it already has. An event listener alone would miss an abort
 * that came before it, for example during an `await`. Disposing of the handle cancels the call. Without a signal,
 * nothing happens.
 */
export function onAbort(signal: AbortSignal | undefined, run: () => void): Disposable {
  if (signal?.aborted === true) run();
  else signal?.addEventListener("abort", run, { once: true });
  return { [Symbol.dispose]: () => signal?.removeEventListener("abort", run) };
}
