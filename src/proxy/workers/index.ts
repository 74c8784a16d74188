// Runs several threads that serve as one proxy. It is loaded only if more than one thread is configured.
export { spawnWorker } from "./spawn-worker.ts";
export { WorkerSet } from "./worker-set.ts";
