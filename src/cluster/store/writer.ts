import { Worker } from "node:worker_threads";
import { internalError, programFile, transientError } from "../../base/index.ts";
import type { WriteBatch } from "./database.ts";

export type WriterReply = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** Makes batches durable, one at a time. Do not call {@link write} again before its promise is settled. */
export interface BatchWriter {
  write(batch: WriteBatch): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts the writer in a thread of its own, so that fsync never blocks the event loop. Calls `broken` if the thread
 * dies.
 */
export function startWriterThread(path: string, broken: (error: Error) => void): BatchWriter {
  const worker = new Worker(programFile("src/cluster/store/writer.worker.ts"), {
    workerData: { path },
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  worker.unref();
  let waiting: ((reply: WriterReply) => void) | undefined;
  let failure: string | undefined;
  const settle = (reply: WriterReply): void => {
    const resolve = waiting;
    waiting = undefined;
    worker.unref();
    resolve?.(reply);
  };
  worker.on("message", settle);
  worker.on("error", (error) => {
    failure = error instanceof Error ? error.message : String(error);
    settle({ ok: false, message: failure });
    broken(internalError("storage-failed", `the writer of ${path} died: ${failure}`, { cause: error }));
  });
  const exited = new Promise<void>((resolve) => worker.on("exit", () => resolve()));
  return {
    async write(batch) {
      const reply = await new Promise<WriterReply>((resolve) => {
        if (failure !== undefined) return resolve({ ok: false, message: failure });
        waiting = resolve;
        worker.ref();
        worker.postMessage(batch);
      });
      if (!reply.ok) {
        throw transientError("storage-failed", `the database ${path} refused a write: ${reply.message}`, {
          hint: "free space on the disk that holds the cluster's state directory; then try again",
        });
      }
    },
    async close() {
      worker.ref();
      worker.postMessage("close");
      await exited;
    },
  };
}
