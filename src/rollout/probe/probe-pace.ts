import { limitConnections, nodeHttp, type Clock } from "../../base/index.ts";

/**
 * How long a request to probe lasts. The engine repeats it every half second while it judges. A later request ends the
 * rest at once, so a longer time would only add probes that nobody reads.
 */
const wantedMs = 700;
/**
 * How much longer the rounds of a client take that nobody waits for. A step still ends in half a minute where the
 * engine's requests do not reach the client.
 */
const restFactor = 8;
/**
 * The same for the first pause of a rest. The steps of an upgrade follow each other in seconds, and the next one's
 * request ends the pause.
 */
const firstRestFactor = 32;

/** The time between the rounds of a client, which rests while nobody waits for its probes. */
export class ProbePace {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  #wantedUntilMs = 0;
  #hasRested = true;
  #endRest: (() => void) | undefined;

  constructor(intervalMs: number, clock: Clock) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
  }

  /** Somebody waits for the client's probes. */
  want(): void {
    this.#wantedUntilMs = this.#clock.steadyMs() + wantedMs;
    this.#hasRested = false;
    this.#endRest?.();
  }

  /** Resolves when the next round is due, or when the signal is aborted. */
  async untilNextRound(signal: AbortSignal): Promise<void> {
    const asleep = Promise.withResolvers<void>();
    const isWanted = this.#clock.steadyMs() < this.#wantedUntilMs;
    if (!isWanted) this.#endRest = asleep.resolve;
    const factor = isWanted ? 1 : this.#nextRestFactor();
    await Promise.race([this.#clock.sleep(factor * this.#intervalMs, signal), asleep.promise]).catch(() => undefined);
    this.#endRest = undefined;
  }

  #nextRestFactor(): number {
    const factor = this.#hasRested ? restFactor : firstRestFactor;
    this.#hasRested = true;
    return factor;
  }
}

/** Serves requests to probe until the signal is aborted: any request wants the client's probes. */
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
