import { lookup } from "node:dns/promises";
import { messageOf, type Clock } from "../../base/index.ts";
import { pairTally } from "./pair-tally.ts";
import { ProbePace, servePace } from "./probe-pace.ts";
import type { ProbeReport } from "./probe-report.ts";
import { probeOnce, type ProbeOutcome } from "./probe-request.ts";
import type { ProbeTarget } from "./probe-targets.ts";

export interface ProbeClientOptions {
  readonly name: string;
  readonly targets: readonly ProbeTarget[];
  /**
   * The time between two rounds over all targets. It grows up to {@link maxSlowdown} times while responses are late.
   */
  readonly intervalMs: number;
  /**
   * The port at which the engine asks the client to probe. The client rests while it gets no such requests. If absent,
   * it never rests.
   */
  readonly pacePort?: number;
  readonly clock: Clock;
  /** Receives each report, a JSON object without a newline ({@link ProbeReport}). */
  readonly report: (line: string) => void;
}

const timeoutMs = 5000;
const shortestReportMs = 200;
/**
 * The factor by which rounds may be slowed down, so that probes do not overload a busy mesh. A target gets no further
 * probe while its last one is open. After each round in which a target still had an open probe, the time until the next
 * round doubles.
 */
const maxSlowdown = 4;

/** Opens a new connection to each target in every round, and reports the outcomes. Never retries. */
export async function runProbeClient(options: ProbeClientOptions, signal: AbortSignal): Promise<void> {
  const { name, targets, intervalMs, pacePort, clock, report } = options;
  const pairs = targets.map((target) => ({ target, tally: pairTally(target) }));
  const addresses = new AddressCache(clock);
  const pace = new ProbePace(intervalMs, clock);
  if (pacePort !== undefined) servePace(pacePort, pace, signal);
  let number = 1;
  let reportedMs = clock.steadyMs();
  let slowdown = 1;
  let ticksToRound = 0;
  while (!signal.aborted) {
    // Report before the next probes start, because most of the started ones have ended by then.
    if (clock.steadyMs() - reportedMs >= Math.max(shortestReportMs, intervalMs)) {
      reportedMs = clock.steadyMs();
      const through = Math.min(number, ...pairs.map(({ tally }) => tally.oldestOpen - 1));
      report(
        JSON.stringify({
          client: name,
          number,
          through,
          pairs: Object.fromEntries(pairs.map(({ target, tally }) => [target.pair, tally.report(through)])),
        } satisfies ProbeReport),
      );
      number += 1;
    }
    if (ticksToRound === 0) {
      const idle = pairs.filter(({ tally }) => tally.open === 0);
      slowdown = idle.length < pairs.length ? Math.min(maxSlowdown, slowdown * 2) : Math.max(1, slowdown / 2);
      ticksToRound = slowdown;
      for (const { target, tally } of idle) {
        const end = tally.begin(number);
        void probe(target, addresses, clock).then(end);
      }
    }
    ticksToRound -= 1;
    if (pacePort === undefined) pace.want();
    await pace.untilNextRound(signal);
  }
}

async function probe(target: ProbeTarget, addresses: AddressCache, clock: Clock): Promise<ProbeOutcome> {
  try {
    const address = await addresses.resolve(new URL(target.url).hostname);
    return await probeOnce(target, { timeoutMs, address, clock });
  } catch (error) {
    return { type: "failed", error: messageOf(error) };
  }
}

const addressLifetimeMs = 5000;

/** Caches addresses, because probes test connections and not DNS. */
class AddressCache {
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly atMs: number; readonly address: Promise<string> }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The targets' names are the only keys, so they bound the cache. */
  resolve(name: string): Promise<string> {
    const known = this.#known.get(name);
    if (known !== undefined && this.#clock.steadyMs() - known.atMs < addressLifetimeMs) return known.address;
    const address = lookup(name).then((found) => found.address);
    address.catch(() => this.#known.delete(name));
    this.#known.set(name, { atMs: this.#clock.steadyMs(), address });
    return address;
  }
}
