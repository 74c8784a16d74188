import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { transientError, onAbort } from "../base/index.ts";
import { readBytes, requireFinalResponse } from "../base/joined-bytes/index.ts";

export interface StreamExchange {
  readonly method: string;
  readonly path: string;
  /** The body as JSON. Undefined means no body. */
  readonly body?: string | undefined;
  /** A longer response is an error. 512 MiB if absent. */
  readonly maxAnswerBytes?: number;
  /** Ends the exchange with the signal's reason, even while the response is being read. */
  readonly signal?: AbortSignal | undefined;
}

/** The maximum size of a response. It is the same for responses of an API server. */
const defaultMaxAnswerBytes = 512 << 20;

/**
 * Makes one HTTP/1.1 exchange over a stream, for example to a port of a pod. The stream ends with the exchange. Throws
 * if the stream breaks or the response is too long.
 */
export async function requestOverStream(
  stream: Duplex,
  { method, path, body, maxAnswerBytes = defaultMaxAnswerBytes, signal }: StreamExchange,
): Promise<{ readonly status: number; readonly text: string }> {
  // Avoid an import: it would load every export of node:http, and one of them (WebSocket) loads all of undici.
  const { request } = process.getBuiltinModule("node:http");
  if (signal?.aborted === true) stream.destroy();
  signal?.throwIfAborted();
  const headers = {
    connection: "close",
    ...(body === undefined
      ? {}
      : { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) }),
  };
  const outgoing = request({ method, path, host: "localhost", headers, createConnection: () => stream });
  return await new Promise((resolve, reject) => {
    const abort = onAbort(
      signal,
      () => void outgoing.destroy(signal?.reason instanceof Error ? signal.reason : new Error("aborted")),
    );
    outgoing.once("close", () => abort[Symbol.dispose]());
    // Keep this listener after the response has begun. If the stream breaks later, the request still reports an error.
    requireFinalResponse(outgoing).on("error", reject);
    outgoing.once("response", (response: IncomingMessage) => {
      read(response, maxAnswerBytes).then(
        (answer) => resolve({ status: response.statusCode ?? 0, text: answer }),
        reject,
      );
    });
    outgoing.end(body);
  });
}

async function read(response: IncomingMessage, maxBytes: number): Promise<string> {
  // Throwing out of the loop destroys the stream.
  const tooLong = (): Error => transientError("answer-too-long", `the answer is longer than ${maxBytes} bytes`);
  return (await readBytes(response as AsyncIterable<Buffer>, maxBytes, tooLong)).toString();
}
