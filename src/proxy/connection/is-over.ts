/** The time between two sweeps of connections and streams. */
const sweepMs = 1000;

/** Whether a time limit is over after this number of sweeps. A limit of 0 is never over. */
export function isOver(sweeps: number, limitMs: number): boolean {
  return limitMs > 0 && sweeps * sweepMs > limitMs;
}
