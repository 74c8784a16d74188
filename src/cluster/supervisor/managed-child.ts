import { spawn } from "node:child_process";
import { Backoff, messageOf, systemRandom, type Clock, type Logger } from "../../base/index.ts";
import type { NetworkNamespace } from "../../net/index.ts";

export interface ManagedChildOptions {
  /** The name in log lines. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly namespace: Pick<NetworkNamespace, "enter">;
  /** The child gets these as descriptors 4, 5 and so on. They stay open in this process for the next start. */
  readonly descriptors: readonly number[];
  readonly log: Logger;
  readonly clock: Clock;
  readonly onMessage: (message: unknown) => void;
}

/** The first restart has no delay. If a child keeps dying, the delay grows. */
const restartInitialMs = 100;
const restartMaxMs = 5_000;
const provenAfterMs = 10_000;

/**
 * A process of the lab that is restarted whenever it ends. It ends together with the supervisor, because it notices
 * that its IPC channel has closed.
 */
export class ManagedChild {
  readonly #options: ManagedChildOptions;
  readonly #backoff: Backoff;
  #startedAtMs = 0;
  #stopped = false;

  constructor(options: ManagedChildOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ initialMs: restartInitialMs, maxMs: restartMaxMs, random: systemRandom });
  }

  start(): void {
    if (this.#stopped) return;
    const { name, program, args, environment, namespace, descriptors, log, clock, onMessage } = this.#options;
    this.#startedAtMs = clock.steadyMs();
    const child = namespace.enter(() =>
      spawn(program, args, {
        stdio: ["ignore", "inherit", "inherit", "ipc", ...descriptors],
        env: environment,
        cwd: "/",
      }),
    );
    child.on("message", onMessage);
    child.once("exit", (code, signal) => this.#ended(code, signal));
    child.on("error", (error) => {
      log.error("a process cannot be started", { name, error: messageOf(error) });
      // A process that did not start emits no event of its end.
      if (child.pid === undefined) this.#ended(null, null);
    });
  }

  /** Lets the child end without a restart. */
  abandon(): void {
    this.#stopped = true;
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#stopped) return;
    const { name, log, clock } = this.#options;
    if (clock.steadyMs() - this.#startedAtMs > provenAfterMs) this.#backoff.reset();
    const delayMs = this.#backoff.attempt === 0 ? 0 : this.#backoff.nextMs();
    if (delayMs === 0) this.#backoff.nextMs();
    log.warn("a process ended and is started again", { name, code, signal, delayMs: Math.round(delayMs) });
    if (delayMs === 0) this.start();
    else setTimeout(() => this.start(), delayMs);
  }
}
