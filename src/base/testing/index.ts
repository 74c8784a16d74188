export { suspicion } from "./linear-time.ts";
export { hastyClock } from "./hasty-clock.ts";
