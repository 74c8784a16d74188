import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { transientError, onAbort } from "../base/index.ts";
import { readBytes, requireFinalResponse } from "../base/joined-bytes/index.ts";

export interface StreamExchange {
  readonly method: string;
  readonly path: string;
  /** The body, which must be JSON. Without it, the request has no body. */
  readonly body?: string | undefined;
  /** The maximum size of the response, by default 512 MiB. A longer response is an error. */
  readonly maxAnswerBytes?: number;
  /** Aborting this signal ends the exchange with the signal's reason, even while the response is being read. */
  readonly signal?: AbortSignal | undefined;
}

/** The default maximum size of a response. It is the same as for API servers. */
const defaultMaxAnswerBytes = 512 << 20;

/**
 * Makes one HTTP/1.1 exchange over a stream, for example to a port of a pod. The stream ends with the exchange. Throws
 * if the stream breaks or the response is too long.
 */
export async function requestOverStream(
  stream: Duplex,
  { method, path, body, maxAnswerBytes = defaultMaxAnswerBytes, signal }: StreamExchange,
): Promise<{ readonly status: number; readonly text: string }> {
  // Do not import node:http: an import reads all of its exports, and one of them (WebSocket) loads all of undici.
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
    // This listener must stay after the response has begun: the request reports an error if the stream breaks later.
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
  // The error of a response that is too long ends the loop that reads it, which destroys the stream.
  const tooLong = (): Error => transientError("answer-too-long", `the answer is longer than ${maxBytes} bytes`);
  return (await readBytes(response as AsyncIterable<Buffer>, maxBytes, tooLong)).toString();
}
