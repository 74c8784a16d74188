import type { LoadFailure } from "../../samples/load-generator/load-plan.ts";
import type { Counted } from "../proofs/upgrade-proof/load-totals.ts";
import { seconds } from "../proofs/upgrade-proof/proof.ts";
import { isRequest, unexplainedFailures } from "./explain-failures.ts";
import type { MemoryOfRole } from "./memory-record.ts";
import type { InjectedFault } from "./fault-injector.ts";

const shown = 20;

export interface Found {
  /** The time in which faults were injected, and the time that was ordered. */
  readonly minutes: number;
  readonly orderedMinutes: number;
  readonly injected: readonly InjectedFault[];
  readonly unendedFaults: readonly string[];
  /** The number of Canaries and MeshUpgrades that were started. An undo is not counted. */
  readonly rollouts: number;
  /** Rollouts that did not end, forward or back, or that ended without saying who must do what. */
  readonly unendedRollouts: readonly string[];
  /** The number of writes that the API server acknowledged. */
  readonly writes: number;
  /** The names of the lost writes. Undefined if the acknowledged writes could not be read. */
  readonly lostWrites: readonly string[] | undefined;
  readonly load: Counted;
  /** Failures of requests and of long connections. */
  readonly failures: readonly LoadFailure[];
  readonly requestLimitMs: number;
  readonly memory: readonly MemoryOfRole[];
  /** Parts of the run that did not end. */
  readonly problems: readonly string[];
}

export interface Summary {
  /** Whether all results below are as expected, no part failed, and no memory grew. */
  readonly ok: boolean;
  readonly minutes: number;
  readonly faults: number;
  readonly rollouts: number;
  readonly unended: number;
  /** The number of lost writes. Null if the acknowledged writes could not be read. */
  readonly lostWrites: number | null;
  readonly requests: number;
  readonly failed: number;
  readonly unexplained: number;
}

/** Returns the summary, which is the last line of a run, and a description of each problem. */
export function summarise(found: Found): { readonly summary: Summary; readonly problems: readonly string[] } {
  const { injected, unendedFaults, rollouts, unendedRollouts, lostWrites, load, memory } = found;
  const requestFailures = found.failures.filter(isRequest);
  const unexplained = unexplainedFailures(requestFailures, injected, found.requestLimitMs);
  const undescribed = Math.max(0, load.failed - requestFailures.length);
  const problems = [
    ...found.problems,
    ...unendedFaults,
    ...unendedRollouts,
    ...(lostWrites === undefined ? ["it is not known whether acknowledged writes are lost"] : []),
    ...(lostWrites ?? []).slice(0, shown).map((name) => `a write is lost: ConfigMap ${name}`),
    ...unexplained.slice(0, shown).map((failure) => describeFailure(failure, injected)),
    ...(undescribed === 0 ? [] : [`the generators reported no details of ${undescribed} more requests that failed`]),
    ...memory.filter(({ grows }) => grows).map((role) => `it grows: ${describeMemory(role)}`),
    ...(load.requests === 0 ? ["no request was sent"] : []),
    ...(injected.length === 0 ? ["no fault was injected"] : []),
    ...(rollouts === 0 ? ["no rollout was begun"] : []),
    ...(found.writes === 0 ? ["no write was acknowledged"] : []),
    ...(found.minutes < found.orderedMinutes
      ? [`faults were injected for ${found.minutes} of ${found.orderedMinutes} minutes`]
      : []),
  ];
  const summary = {
    ok: problems.length === 0,
    minutes: found.minutes,
    faults: injected.length,
    rollouts,
    unended: unendedRollouts.length,
    lostWrites: lostWrites?.length ?? null,
    requests: load.requests,
    failed: load.failed,
    unexplained: unexplained.length + undescribed,
  };
  return { summary, problems };
}

export function describeMemory({ role, secondKib = 0, lastKib = 0, ratio }: MemoryOfRole): string {
  const growth = ratio === undefined ? "" : `, ${ratio.toFixed(2)} times at the same age`;
  return `memory of a ${role}: ${mib(secondKib)} in the second quarter, ${mib(lastKib)} in the last one${growth}`;
}

export function describeFailure(
  { at, target, group, cause }: LoadFailure,
  injected: readonly Pick<InjectedFault, "name" | "fromMs">[],
): string {
  const atMs = Date.parse(at);
  const last = injected.findLast(({ fromMs }) => fromMs <= atMs);
  const after = last === undefined ? "before the first fault" : `${seconds(atMs - last.fromMs)} after ${last.name}`;
  return `${at} ${target} (${group}), ${after}: ${cause}`;
}

const mib = (kib: number): string => `${(kib / 1024).toFixed(0)} MiB`;
