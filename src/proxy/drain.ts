import { setImmediate } from "node:timers/promises";
import { aborted, type Clock, type Logger, type Shutdown } from "../base/index.ts";
import type { Serving } from "./serving.ts";

export interface DrainOptions {
  readonly serving: Pick<Serving, "status" | "drain" | "stopListening" | "closeQuiet" | "closeAll">;
  readonly shutdown: Shutdown;
  /** The minimum time for which the listeners stay open, unless the application has ended. */
  readonly minimumMs: number;
  /** Whether outbound traffic is served until the end, because the application may need it as long as it runs. */
  readonly inboundOnly: boolean;
  /**
   * Whether the application has ended, so that no further connection can come in or go out. The drain then ends with
   * the last open connection.
   */
  readonly applicationEnded: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The time without a new connection after which the proxy assumes that all clients know that it leaves. */
const quietMs = 2000;
const stepMs = 100;

/**
 * Ends the proxy without losing a request.
 *
 * At first, the proxy continues to listen, and its responses say `connection: close`. But if a sidecar's application
 * has ended before the drain begins, the proxy stops listening at once, so that clients are refused and try another
 * endpoint. When the minimum time is over and no new connections have arrived for a while, the proxy stops listening
 * and closes each HTTP connection that has been idle for a while. The drain ends with the last connection. A forced
 * shutdown closes everything.
 *
 * A proxy without listeners belongs to a deleted Gateway, so no connection can arrive. Its open connections may last as
 * long as those of a removed listener.
 */
export async function drain(options: DrainOptions): Promise<void> {
  const { serving, shutdown, clock, log, applicationEnded } = options;
  serving.drain(options.inboundOnly);
  if (!applicationEnded) await untilNobodyComes(options);
  serving.stopListening();
  let { connections } = await serving.status();
  log.info("draining: stopped listening", { connections });
  let logged = connections;
  while (!shutdown.force.aborted && connections > 0) {
    serving.closeQuiet(applicationEnded ? 0 : quietMs);
    ({ connections } = await serving.status());
    if (connections !== logged) {
      logged = connections;
      log.info(`draining, ${logged} connection(s)`);
    }
    if (logged > 0) await pause(clock, shutdown);
  }
  if (connections > 0) log.warn("draining: closing connections by force", { connections });
  serving.closeAll();
}

async function untilNobodyComes(options: DrainOptions): Promise<void> {
  const { serving, shutdown, clock, log } = options;
  const startedMs = clock.steadyMs();
  log.info("draining: asking clients to close; still listening", { connections: (await serving.status()).connections });
  while (!shutdown.force.aborted) {
    if (await nobodyComes(options, startedMs)) {
      // Let the process accept the connections that have arrived before deciding. A process that had to wait for a
      // processor runs its timers before it accepts, and closing the listener now would reset those connections.
      await setImmediate();
      if (await nobodyComes(options, startedMs)) return;
    }
    await pause(clock, shutdown);
  }
}

async function nobodyComes({ serving, minimumMs, clock }: DrainOptions, startedMs: number): Promise<boolean> {
  const status = await serving.status();
  return status.listeners === 0 || (clock.steadyMs() - startedMs >= minimumMs && status.quietMs >= quietMs);
}

async function pause(clock: Clock, shutdown: Shutdown): Promise<void> {
  await Promise.race([clock.sleep(stepMs), aborted(shutdown.force)]);
}
