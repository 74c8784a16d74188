// The number of serving threads. The code for several threads is loaded only if there is more than one.
export { machineBounds, workerCount, type MachineBounds, type WorkerCount } from "./worker-count.ts";
