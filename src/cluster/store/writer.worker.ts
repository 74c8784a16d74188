// The code of the thread that owns the database file. For each message, it makes one transaction and sends one answer.
import { parentPort, workerData } from "node:worker_threads";
import { batchWriter, openDatabase, type WriteBatch } from "./database.ts";
import type { WriterReply } from "./writer.ts";

const port = parentPort;
if (port !== null) {
  const { path } = workerData as { path: string };
  const database = openDatabase(path);
  const write = batchWriter(database);
  const reply = (message: WriterReply): void => port.postMessage(message);
  port.on("message", (message: WriteBatch | "close") => {
    if (message === "close") {
      database.close();
      port.close();
      return;
    }
    try {
      write(message);
      reply({ ok: true });
    } catch (error) {
      reply({ ok: false, message: error instanceof Error ? error.message : String(error) });
    }
  });
}
