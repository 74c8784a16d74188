import { parentPort } from "node:worker_threads";
import { readDocuments } from "../../../analyze/index.ts";
import { messageOf } from "../../../base/index.ts";
import type { ReadYamlReply } from "./yaml-threads.ts";

async function replyTo(text: string): Promise<ReadYamlReply> {
  try {
    return { documents: await readDocuments(text) };
  } catch (error) {
    return { fault: messageOf(error) };
  }
}

parentPort?.on("message", (text: string) => void replyTo(text).then((reply) => parentPort?.postMessage(reply)));
parentPort?.postMessage("ready");
