// Several threads that serve as one proxy. Loaded only if more than one thread is configured.
export { spawnWorker } from "./spawn-worker.ts";
export { WorkerSet } from "./worker-set.ts";
