export { suspicion } from "./linear-time.ts";
export { hastyClock } from "./hasty-clock.ts";
export { HandClock } from "./hand-clock.ts";
