// Threads of one process that serve as one; each role gives them their program and what they call each other for.
export { ThreadCalls, type CallTable, type Handlers } from "./thread-calls.ts";
export type { WatchLimits } from "./watch-worker.ts";
export { WorkerGroup, type WorkerGroupOptions, type WorkerThread } from "./worker-group.ts";
