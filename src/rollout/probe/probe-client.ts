import { lookup } from "node:dns/promises";
import { messageOf, type Clock } from "../../base/index.ts";
import { pairTally } from "./pair-tally.ts";
import type { ProbeReport } from "./probe-report.ts";
import { probeOnce, type ProbeOutcome } from "./probe-request.ts";
import type { ProbeTarget } from "./probe-targets.ts";

export interface ProbeClientOptions {
  readonly name: string;
  readonly targets: readonly ProbeTarget[];
  /** From one round over all targets to the next. */
  readonly intervalMs: number;
  readonly clock: Clock;
  /** Takes one report, a JSON object without a newline ({@link ProbeReport}). */
  readonly report: (line: string) => void;
}

const timeoutMs = 5000;
const shortestReportMs = 200;
/** The limit for each target, so that one that does not answer does not delay the others. */
const maxOpenConnections = 8;

/** Opens a new connection to each target, round after round, and reports what came of them. Failures are never tried again. */
export async function runProbeClient(options: ProbeClientOptions, signal: AbortSignal): Promise<void> {
  const { name, targets, intervalMs, clock, report } = options;
  const pairs = targets.map((target) => ({ target, tally: pairTally(target) }));
  const addresses = new AddressCache(clock);
  let number = 1;
  let reportedMs = clock.steadyMs();
  while (!signal.aborted) {
    for (const { target, tally } of pairs) {
      if (tally.open >= maxOpenConnections) continue;
      const end = tally.begin(number);
      void probe(target, addresses, clock).then(end);
    }
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
