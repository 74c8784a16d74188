import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";

export type StreamHandler = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void;

export class Http2Backend implements AsyncDisposable {
  readonly server: http2.Http2Server;
  readonly sessions = new Set<http2.ServerHttp2Session>();
  connections = 0;

  private constructor(onStream: StreamHandler, settings: http2.Settings) {
    this.server = http2.createServer({ settings });
    this.server.on("session", (session) => {
      this.connections += 1;
      this.sessions.add(session);
      session.on("error", () => undefined);
      session.on("close", () => this.sessions.delete(session));
    });
    this.server.on("stream", (stream, headers) => {
      stream.on("error", () => undefined);
      onStream(stream, headers);
    });
  }

  static async start(onStream: StreamHandler, settings: http2.Settings = {}): Promise<Http2Backend> {
    const backend = new Http2Backend(onStream, settings);
    await new Promise<void>((resolve) => backend.server.listen(0, "127.0.0.1", resolve));
    return backend;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.sessions) session.destroy();
    this.server.close();
    await Promise.resolve();
  }
}

export interface Http2Answer {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Sends one request on a session and collects the whole response. */
export function sendRequest(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body?: Buffer | string,
  trailers?: http2.OutgoingHttpHeaders,
): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined, waitForTrailers: trailers !== undefined });
    let answered: Http2Answer["headers"] | undefined;
    let ended: http2.IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on("response", (received) => (answered = received));
    stream.on("trailers", (received) => (ended = received));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("wantTrailers", () => stream.sendTrailers(trailers ?? {}));
    stream.on("end", () =>
      answered === undefined
        ? reject(new Error("no answer"))
        : resolve({ headers: answered, trailers: ended, body: Buffer.concat(chunks) }),
    );
    if (body !== undefined) stream.end(body);
  });
}

export async function connectTo(
  port: number,
  options: http2.SecureClientSessionOptions = {},
): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(`http://127.0.0.1:${port}`, options);
  session.on("error", () => undefined);
  await new Promise<void>((resolve) => session.once("connect", () => resolve()));
  return session;
}
