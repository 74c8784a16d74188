// Clocks that tests set, waits for a condition and for the end of a stream, a check for work that grows faster than its
// input, objects with a field of a wrong type, lists of many items, and the collection of garbage.
export { suspicion, type GrowthLimits } from "./linear-time.ts";
export { hastyClock } from "./hasty-clock.ts";
export { collectGarbage, oldBytes } from "./old-space.ts";
export { HandClock } from "./hand-clock.ts";
export { many } from "./many.ts";
export { until } from "./until.ts";
export { untilClosed } from "./until-closed.ts";
export { sampled, wrongFields, type WrongField } from "./wrong-fields.ts";
