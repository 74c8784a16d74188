// Assigns pods to nodes.
export { addScheduler } from "./scheduler.ts";
