/** Connections and streams are swept once a second. */
const sweepMs = 1000;

/** Whether a limit is over after this number of sweeps. A limit of 0 never is. */
export function isOver(sweeps: number, limitMs: number): boolean {
  return limitMs > 0 && sweeps * sweepMs > limitMs;
}
