// Several threads that serve as one ztunnel; loaded where more than one is asked for.
export { spawnWorker } from "./spawn-worker.ts";
export { WorkerSet, type WorkerSetOptions } from "./worker-set.ts";
