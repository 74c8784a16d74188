// Tools for tests: clocks, waits, objects with a field of a wrong type, lists of many items, garbage collection, and a
// check for work that grows faster than its input.
export { suspicion, type GrowthLimits } from "./linear-time.ts";
export { hastyClock } from "./hasty-clock.ts";
export { collectGarbage, oldBytes } from "./old-space.ts";
export { HandClock } from "./hand-clock.ts";
export { many } from "./many.ts";
export { until } from "./until.ts";
export { untilClosed } from "./until-closed.ts";
export { sampled, wrongFields, type WrongField } from "./wrong-fields.ts";
