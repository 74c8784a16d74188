// Finds functions whose time grows more than linearly with the input.
import { collectGarbage } from "./old-space.ts";

/** The shortest time of several runs. Other work of the machine makes a run longer, never shorter. */
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

/** The limits by which {@link suspicion} tells growth from noise. */
export interface GrowthLimits {
  /**
   * The time below which the whole input is never suspicious, in milliseconds. Comparing all pairs of thousands of
   * items takes longer.
   */
  readonly unsuspiciousMs: number;
  /** How many times as long as a quarter the whole input may take. Linear is 4, quadratic 16. */
  readonly maxTimes: number;
}

const usualLimits: GrowthLimits = { unsuspiciousMs: 30, maxTimes: 10 };
const attempts = 3;
const smallRuns = 3;
const largeRuns = 3;
const boundedMargin = 4;
/** How many times as long as a quarter the whole input takes if the time grows with the square. */
const quadraticTimes = 16;

/**
 * The measured times if `run`, in every attempt, took more than its share for an input of four times the size.
 * Undefined otherwise. `make` makes an input of the given size.
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
  // Stop if the whole input stays below the suspicious time even if all of this time grows with the square. Most linear
  // functions end here. A function that grows faster takes longer for thousands of items.
  if (quadraticTimes * quarter < unsuspiciousMs) return undefined;
  const large = make(size);
  // For most of the other linear functions, a single run of the whole input is fast enough.
  let whole = quickestMs(() => run(large), 1);
  if (whole < unsuspiciousMs) return undefined;
  // The whole input takes hardly longer than the quarter, so something limits the time, such as the budget of an
  // evaluation. This holds even if other work made the small run take four times as long.
  if (boundedMargin * whole < maxTimes * quarter) return undefined;
  quarter = Math.min(
    quarter,
    quickestMs(() => run(small), smallRuns - 1),
  );
  for (let attempt = 0; attempt < attempts && !isLinear(quarter, whole); attempt += 1) {
    // While V8 marks a heap that earlier tests have filled, its threads take more time in longer runs.
    collectGarbage("all");
    quarter = quickestMs(() => run(small), smallRuns);
    whole = quickestMs(() => run(large), largeRuns);
  }
  if (isLinear(quarter, whole)) return undefined;
  return `${size / 4}: ${quarter} ms, ${size}: ${whole} ms`;
}
