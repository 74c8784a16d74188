import type { PairReport } from "./probe-report.ts";
import type { ProbeOutcome } from "./probe-request.ts";
import type { ProbeTarget } from "./probe-targets.ts";

const keptDurations = 64;
const maxPeers = 4;

export interface PairTally {
  add(outcome: ProbeOutcome): void;
  report(): PairReport;
}

/** Counts what became of one pair's probes. */
export function pairTally({ expected }: ProbeTarget): PairTally {
  const counts = { ok: 0, failed: 0, letIn: 0, lastError: "" };
  const peers = new Map<string, number>();
  const durations: number[] = [];
  const fail = (error: string): void => {
    counts.failed += 1;
    counts.lastError = error;
  };
  return {
    add: (outcome) => {
      if (outcome.type === "answered") {
        const peer = outcome.ends === undefined ? "" : `${outcome.ends.client} ${outcome.ends.server}`;
        if (peers.has(peer) || peers.size < maxPeers) peers.set(peer, (peers.get(peer) ?? 0) + 1);
        durations[(counts.ok + counts.failed) % keptDurations] = outcome.durationMs;
      }
      if (outcome.type === "failed" || (outcome.type === "refused" && expected === "answer")) fail(outcome.error);
      else if (outcome.type === "answered" && expected === "refusal") {
        fail("answered without mTLS");
        counts.letIn += 1;
      } else counts.ok += 1;
    },
    report: () => {
      const p50Ms = medianOf(durations);
      return { ...counts, ...(p50Ms === undefined ? {} : { p50Ms }), peers: Object.fromEntries(peers) };
    },
  };
}

function medianOf(durations: readonly number[]): number | undefined {
  const sorted = durations.filter((duration) => duration >= 0).toSorted((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  return middle === undefined ? undefined : Math.round(middle);
}
