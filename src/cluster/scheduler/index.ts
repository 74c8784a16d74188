export { addScheduler } from "./scheduler.ts";
