// Clocks that tests set, a wait for a condition, and a check for work that grows faster than its input.
export { suspicion } from "./linear-time.ts";
export { hastyClock } from "./hasty-clock.ts";
export { HandClock } from "./hand-clock.ts";
export { until } from "./until.ts";
