import { systemClock, type Clock } from "../clock.ts";

/**
 * The system's clock, this many times as fast. For a test of a whole that waits for its intervals, and whose limits are
 * far from what it needs.
 */
export function hastyClock(factor: number): Clock {
  const begunAtMs = systemClock.nowMs();
  return {
    nowMs: () => begunAtMs + (systemClock.nowMs() - begunAtMs) * factor,
    steadyMs: () => systemClock.steadyMs() * factor,
    sleep: async (ms, signal) => await systemClock.sleep(ms / factor, signal),
    after: (ms, run) => systemClock.after(ms / factor, run),
  };
}
