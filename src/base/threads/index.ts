// Threads for untrusted input, with limits of time and memory for each task.
export { LimitedThread, type TaskLimits } from "./limited-thread.ts";
export { excessText, ReviewThread, type ReviewNotice, type ReviewVerdict } from "./review-thread.ts";
export { TurnQueue } from "./turn-queue.ts";
