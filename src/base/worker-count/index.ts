// How many threads serve; what several need is loaded only where more than one do.
export { machineBounds, workerCount, type MachineBounds, type WorkerCount } from "./worker-count.ts";
