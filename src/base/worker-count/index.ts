// How many threads serve. A process loads the code for several threads only if it has several.
export { machineBounds, workerCount, type MachineBounds, type WorkerCount } from "./worker-count.ts";
