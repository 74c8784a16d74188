import { Worker } from "node:worker_threads";
import type { WorkerStart } from "./worker-calls.ts";

const threadFile = import.meta.url.endsWith(".ts") ? "./data-path.worker.ts" : "./data-path.worker.js";

/** A thread that serves. */
export function spawnWorker(start: WorkerStart): Worker {
  return new Worker(new URL(threadFile, import.meta.url), {
    workerData: start,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
}
