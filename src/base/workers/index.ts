// Threads of one process that act as one server. Each role brings their program and their calls.
export { ThreadCalls } from "./thread-calls.ts";
export type { WatchLimits } from "./watch-worker.ts";
export { WorkerGroup, type WorkerThread } from "./worker-group.ts";
