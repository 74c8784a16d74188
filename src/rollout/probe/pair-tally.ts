import type { PairReport } from "./probe-report.ts";
import type { ProbeOutcome } from "./probe-request.ts";
import type { ProbeTarget } from "./probe-targets.ts";

const keptDurations = 64;
const maxPeers = 4;

export interface PairTally {
  /**
   * Notes that a probe has started before the report with this number. The returned function takes the probe's outcome.
   */
  begin(number: number): (outcome: ProbeOutcome) => void;
  readonly open: number;
  /** The report number with which the oldest open probe started. Infinity if no probe is open. */
  readonly oldestOpen: number;
  /** Counts the probes that started before the report with this number. All of them must have ended. */
  report(through: number): PairReport;
}

/**
 * Counts the outcomes of one pair's probes. Reports group them by the time at which the probes started, not by the time
 * at which they ended.
 */
export function pairTally({ expected }: ProbeTarget): PairTally {
  const counts = { ok: 0, failed: 0, letIn: 0, lastError: "" };
  const peers = new Map<string, number>();
  const durations: number[] = [];
  const open = new Set<{ readonly number: number }>();
  let ended: { readonly number: number; readonly outcome: ProbeOutcome }[] = [];
  const fail = (error: string): void => {
    counts.failed += 1;
    counts.lastError = error;
  };
  const add = (outcome: ProbeOutcome): void => {
    if (outcome.type === "answered") {
      const peer = outcome.ends === undefined ? "" : `${outcome.ends.client} ${outcome.ends.server}`;
      if (peers.has(peer) || peers.size < maxPeers) peers.set(peer, (peers.get(peer) ?? 0) + 1);
      durations.push(outcome.durationMs);
      if (durations.length > keptDurations) durations.shift();
    }
    if (outcome.type === "failed" || (outcome.type === "refused" && expected === "answer")) fail(outcome.error);
    else if (outcome.type === "answered" && expected === "refusal") {
      fail("answered without mTLS");
      counts.letIn += 1;
    } else counts.ok += 1;
  };
  return {
    begin: (number) => {
      const probe = { number };
      open.add(probe);
      return (outcome) => {
        open.delete(probe);
        ended.push({ number, outcome });
      };
    },
    get open() {
      return open.size;
    },
    get oldestOpen() {
      return Math.min(Number.POSITIVE_INFINITY, ...[...open].map(({ number }) => number));
    },
    report: (through) => {
      for (const { number, outcome } of ended) if (number <= through) add(outcome);
      ended = ended.filter(({ number }) => number > through);
      const p50Ms = medianOf(durations);
      return { ...counts, ...(p50Ms === undefined ? {} : { p50Ms }), peers: Object.fromEntries(peers) };
    },
  };
}

function medianOf(durations: readonly number[]): number | undefined {
  const sorted = durations.toSorted((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  return middle === undefined ? undefined : Math.round(middle);
}
