import { once } from "node:events";
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
  const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
  outgoing.end(body);
  const [response] = await answered;
  return { status: response.statusCode ?? 0, text: await text(response) };
}
