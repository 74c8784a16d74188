import { lookup } from "node:dns/promises";
import { messageOf, type Clock } from "../../base/index.ts";
import { pairTally } from "./pair-tally.ts";
import type { ProbeReport } from "./probe-report.ts";
import { probeOnce, type ProbeOutcome } from "./probe-request.ts";
import type { ProbeTarget } from "./probe-targets.ts";

export interface ProbeClientOptions {
  readonly name: string;
  readonly targets: readonly ProbeTarget[];
  /** From one round over all targets to the next; up to {@link maxSlowdown} times as long while answers are late. */
  readonly intervalMs: number;
  readonly clock: Clock;
  /** Takes one report, a JSON object without a newline ({@link ProbeReport}). */
  readonly report: (line: string) => void;
}

const timeoutMs = 5000;
const shortestReportMs = 200;
/**
 * Probes must not be the load that makes a busy mesh slow. A target gets no further probe while one is open, and rounds
 * come at half the rate after each round in which a target still had to wait.
 */
const maxSlowdown = 4;

/** Opens a new connection to each target, round after round, and reports what came of them. Failures are never tried again. */
export async function runProbeClient(options: ProbeClientOptions, signal: AbortSignal): Promise<void> {
  const { name, targets, intervalMs, clock, report } = options;
  const pairs = targets.map((target) => ({ target, tally: pairTally(target) }));
  const addresses = new AddressCache(clock);
  let number = 1;
  let reportedMs = clock.steadyMs();
  let slowdown = 1;
  let ticksToRound = 0;
  while (!signal.aborted) {
    // Before the next probes begin: most of those that have begun have ended.
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
    await clock.sleep(intervalMs, signal).catch(() => undefined);
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

/** Names are asked for now and then only: it is connections that are probed. */
class AddressCache {
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly atMs: number; readonly address: Promise<string> }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Bounded by the targets, as only their names are asked for. */
  resolve(name: string): Promise<string> {
    const known = this.#known.get(name);
    if (known !== undefined && this.#clock.steadyMs() - known.atMs < addressLifetimeMs) return known.address;
    const address = lookup(name).then((found) => found.address);
    address.catch(() => this.#known.delete(name));
    this.#known.set(name, { atMs: this.#clock.steadyMs(), address });
    return address;
  }
}
