import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";

export interface StreamExchange {
  readonly method: string;
  readonly path: string;
  /** JSON; none where it is undefined. */
  readonly body?: string | undefined;
}

/** One HTTP/1.1 exchange over a stream, such as one to a port of a pod; the stream ends with it. Throws when the stream breaks. */
export async function requestOverStream(stream: Duplex, { method, path, body }: StreamExchange): Promise<{ readonly status: number; readonly text: string }> {
  // Not by import: that reads every export of node:http, and its WebSocket loads all of undici.
  const { request } = process.getBuiltinModule("node:http");
  const headers = { connection: "close", ...(body === undefined ? {} : { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) }) };
  const outgoing = request({ method, path, host: "localhost", headers, createConnection: () => stream });
  return await new Promise((resolve, reject) => {
    // Also once the answer has begun: a stream that breaks in its midst tells the request.
    outgoing.on("error", reject);
    outgoing.once("response", (response: IncomingMessage) => {
      text(response).then((answer) => resolve({ status: response.statusCode ?? 0, text: answer }), reject);
    });
    outgoing.end(body);
  });
}
