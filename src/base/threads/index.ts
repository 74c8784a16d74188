export { BodyBudget } from "./body-budget.ts";
export { LimitedThread, type ThreadOutcome } from "./limited-thread.ts";
export { TurnQueue, type TaskThread } from "./turn-queue.ts";
