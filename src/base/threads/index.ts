// Threads that handle untrusted input. Each task has limits of time and memory.
export { LimitedThread, type TaskLimits } from "./limited-thread.ts";
export { excessText, ReviewThread, type ReviewNotice, type ReviewVerdict } from "./review-thread.ts";
export { TurnQueue } from "./turn-queue.ts";
