import { limitConnections, nodeHttp, type Clock } from "../../base/index.ts";

/**
 * How long a request to probe lasts. The engine repeats it more often while it judges. The steps of a quick upgrade are
 * only seconds apart, so with a longer time the clients would never rest.
 */
const wantedMs = 1500;
/**
 * How many times longer the rounds of a client take while nobody waits for it. With this factor, a step still ends
 * within half a minute if the engine's requests do not reach the client.
 */
const restFactor = 8;

/** The time between the rounds of a client, which rests while nobody waits for its probes. */
export class ProbePace {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  #wantedUntilMs = 0;
  #endRest: (() => void) | undefined;

  constructor(intervalMs: number, clock: Clock) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
  }

  want(): void {
    this.#wantedUntilMs = this.#clock.steadyMs() + wantedMs;
    this.#endRest?.();
  }

  /** Resolves when the next round is due, or when the signal is aborted. */
  async untilNextRound(signal: AbortSignal): Promise<void> {
    const asleep = Promise.withResolvers<void>();
    const isWanted = this.#clock.steadyMs() < this.#wantedUntilMs;
    if (!isWanted) this.#endRest = asleep.resolve;
    const pauseMs = isWanted ? this.#intervalMs : this.#intervalMs * restFactor;
    await Promise.race([this.#clock.sleep(pauseMs, signal), asleep.promise]).catch(() => undefined);
    this.#endRest = undefined;
  }
}

/** Serves requests to probe until the signal is aborted. Any HTTP request counts as one. */
export function servePace(port: number, pace: ProbePace, signal: AbortSignal): void {
  const server = nodeHttp().createServer((_request, response) => {
    pace.want();
    response.writeHead(200, { connection: "close" }).end();
  });
  limitConnections(server);
  server.listen(port);
  signal.addEventListener(
    "abort",
    () => {
      server.close();
      server.closeAllConnections();
    },
    { once: true },
  );
}
