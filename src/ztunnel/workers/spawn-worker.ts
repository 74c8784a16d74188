import { Worker } from "node:worker_threads";
import { programFile } from "../../base/index.ts";
import type { WorkerStart } from "./worker-calls.ts";

export function spawnWorker(start: WorkerStart): Worker {
  return new Worker(programFile("src/ztunnel/workers/data-path.worker.ts"), {
    name: `worker-${start.worker}`,
    workerData: start,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
}
