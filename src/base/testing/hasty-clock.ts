import { systemClock, type Clock } from "../clock.ts";

/**
 * A clock that runs `factor` times as fast as the system's. It is for tests that wait for intervals, and whose time
 * limits are far above the time that they need.
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
