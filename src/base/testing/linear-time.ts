// Finds functions whose time grows more than linearly with the input.
import { collectGarbage } from "./old-space.ts";

/** The shortest CPU time of several runs. Other work of the machine can only make a run longer. */
function quickestMs(run: () => unknown, runs: number): number {
  let quickest = Number.POSITIVE_INFINITY;
  for (let count = 0; count < runs; count += 1) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    quickest = Math.min(quickest, (user + system) / 1000);
  }
  return quickest;
}

export interface GrowthLimits {
  /**
   * If the whole input takes less than this, its time is never suspicious. Comparing all pairs of thousands of items
   * takes longer.
   */
  readonly unsuspiciousMs: number;
  /**
   * How many times as long as a quarter of the input the whole input may take. The factor is 4 for linear time, and 16
   * for quadratic time.
   */
  readonly maxTimes: number;
}

const usualLimits: GrowthLimits = { unsuspiciousMs: 30, maxTimes: 10 };
const attempts = 3;
const smallRuns = 3;
const largeRuns = 3;
const boundedMargin = 4;
/** The factor for time that grows with the square of the input. */
const quadraticTimes = 16;

/**
 * The measured times, if in every attempt an input of four times the size took more than `maxTimes` as long. Undefined
 * otherwise. `make` makes an input of the given size.
 */
export function suspicion<Input>(
  run: (input: Input) => unknown,
  make: (size: number) => Input,
  size: number,
  { unsuspiciousMs, maxTimes }: GrowthLimits = usualLimits,
): string | undefined {
  const isLinear = (quarterMs: number, wholeMs: number): boolean => wholeMs < maxTimes * quarterMs + unsuspiciousMs;
  const small = make(size / 4);
  let quarter = quickestMs(() => run(small), 1);
  // Stop if even quadratic time would keep the whole input below the suspicious time. Most linear functions end here. A
  // function that grows faster takes longer for thousands of items.
  if (quadraticTimes * quarter < unsuspiciousMs) return undefined;
  const large = make(size);
  // Most other linear functions end here, after a single run of the whole input.
  let whole = quickestMs(() => run(large), 1);
  if (whole < unsuspiciousMs) return undefined;
  // Stop if the whole input takes hardly longer than the quarter: then something else limits the time, such as the
  // budget of an evaluation. The margin covers other work that made the run of the quarter four times as long.
  if (boundedMargin * whole < maxTimes * quarter) return undefined;
  quarter = Math.min(
    quarter,
    quickestMs(() => run(small), smallRuns - 1),
  );
  for (let attempt = 0; attempt < attempts && !isLinear(quarter, whole); attempt += 1) {
    // V8's threads that mark a heap full of earlier tests' objects take CPU time in longer runs, so collect those
    // objects first.
    collectGarbage("all");
    quarter = quickestMs(() => run(small), smallRuns);
    whole = quickestMs(() => run(large), largeRuns);
  }
  if (isLinear(quarter, whole)) return undefined;
  return `${size / 4}: ${quarter} ms, ${size}: ${whole} ms`;
}
