// Clocks that tests set, and a check for work that grows faster than its input.
export { suspicion } from "./linear-time.ts";
export { hastyClock } from "./hasty-clock.ts";
export { HandClock } from "./hand-clock.ts";
