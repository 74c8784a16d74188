import { spawn, type ChildProcess } from "node:child_process";
import { Backoff, messageOf, type Clock, type Logger, type Random } from "../../base/index.ts";
import type { NetworkNamespace } from "../../net/index.ts";

export interface ManagedChildOptions {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly namespace: Pick<NetworkNamespace, "enter">;
  /**
   * The file descriptors that the child gets as 4, 5 and so on. They stay open in this process for the next start of
   * the child.
   */
  readonly descriptors: readonly number[];
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly onMessage: (message: unknown) => void;
}

/**
 * The limits of the delay before a restart. The first restart has no delay. The delay grows while the child keeps
 * dying.
 */
const restartInitialMs = 100;
const restartMaxMs = 5_000;
const provenAfterMs = 10_000;

/**
 * A process of the lab that is restarted whenever it ends. When the supervisor ends, the child notices that its IPC
 * channel has closed, and ends too.
 */
export class ManagedChild {
  readonly #options: ManagedChildOptions;
  readonly #backoff: Backoff;
  #startedAtMs = 0;
  #stopped = false;

  constructor(options: ManagedChildOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ initialMs: restartInitialMs, maxMs: restartMaxMs, random: options.random });
  }

  start(): void {
    if (this.#stopped) return;
    const { clock, onMessage } = this.#options;
    this.#startedAtMs = clock.steadyMs();
    let child: ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      // Node.js throws at once for some refusals of the kernel, such as too little memory. It reports others by an
      // error event.
      this.#refused(error);
      return;
    }
    child.on("message", onMessage);
    child.once("exit", (code, signal) => this.#ended(code, signal));
    // A process that did not start emits only this event, and none about its end.
    child.on("error", (error) => {
      if (child.pid === undefined) this.#refused(error);
    });
  }

  #spawn(): ChildProcess {
    const { program, args, environment, namespace, descriptors } = this.#options;
    return namespace.enter(() =>
      spawn(program, args, {
        stdio: ["ignore", "inherit", "inherit", "ipc", ...descriptors],
        env: environment,
        cwd: "/",
      }),
    );
  }

  #refused(error: unknown): void {
    const { name, log } = this.#options;
    log.error("a process cannot be started", { name, error: messageOf(error) });
    this.#ended(null, null);
  }

  /** Stops restarting the child. Does not end it. */
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
    else clock.after(delayMs, () => this.start());
  }
}
