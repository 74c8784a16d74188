/** Connections and streams are swept once a second. */
const sweepMs = 1000;

/** Whether a time limit is over after this number of sweeps. A limit of 0 is never over. */
export function isOver(sweeps: number, limitMs: number): boolean {
  return limitMs > 0 && sweeps * sweepMs > limitMs;
}
