import { aborted, type Clock, type Logger, type Shutdown } from "../base/index.ts";
import type { Serving } from "./serving.ts";

export interface DrainOptions {
  readonly serving: Pick<Serving, "status" | "drain" | "stopListening" | "closeQuiet" | "closeAll">;
  readonly shutdown: Shutdown;
  /** Listening goes on at least this long. */
  readonly minimumMs: number;
  /** What leaves the pod is served to the very end: the application may need it for as long as it runs. */
  readonly inboundOnly: boolean;
  /** Nobody is there any more for whom connections could come, or who could open any: with the last one it is over. */
  readonly applicationEnded: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** No connection has come for this long: whoever sends them here has learned that we leave. */
const quietMs = 2000;
const stepMs = 100;

/**
 * Leaves without losing a request: answers say `connection: close` while listening goes on, until nobody sends
 * connections here; then idle connections are closed as they have been quiet for a while, and the last one ends it.
 * A forced shutdown closes what is left.
 *
 * Once the application has ended nobody is listened to any more: a client that is refused goes elsewhere at once.
 */
export async function drain(options: DrainOptions): Promise<void> {
  const { serving, shutdown, clock, log, applicationEnded } = options;
  serving.drain(options.inboundOnly);
  if (!applicationEnded) await untilNobodyComes(options);
  serving.stopListening();
  let { connections } = await serving.status();
  log.info("draining: stopped listening", { connections });
  let told = connections;
  while (!shutdown.force.aborted && connections > 0) {
    serving.closeQuiet(applicationEnded ? 0 : quietMs);
    ({ connections } = await serving.status());
    if (connections !== told) {
      told = connections;
      log.info(`draining, ${told} connection(s)`);
    }
    if (told > 0) await pause(clock, shutdown);
  }
  if (connections > 0) log.warn("draining: closing by force", { connections });
  serving.closeAll();
}

async function untilNobodyComes({ serving, shutdown, minimumMs, clock, log }: DrainOptions): Promise<void> {
  const startedMs = clock.steadyMs();
  log.info("draining: answers say close, listening goes on", { connections: (await serving.status()).connections });
  while (!shutdown.force.aborted) {
    if (clock.steadyMs() - startedMs >= minimumMs && (await serving.status()).quietMs >= quietMs) break;
    await pause(clock, shutdown);
  }
}

async function pause(clock: Clock, shutdown: Shutdown): Promise<void> {
  await Promise.race([clock.sleep(stepMs), aborted(shutdown.force)]);
}
