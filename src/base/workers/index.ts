// Threads of one process that act as one server. Each role provides their program and their calls.
export { ThreadCalls, type CallTable, type Handlers } from "./thread-calls.ts";
export type { WatchLimits } from "./watch-worker.ts";
export { WorkerGroup, type WorkerGroupOptions, type WorkerThread } from "./worker-group.ts";
