// An upstream that parses HTTP/1.1 as tolerantly as possible, and records every byte that a proxy sends.
import { createServer, type Server, type Socket } from "node:net";

export interface UpstreamRequest {
  readonly line: string;
  readonly fields: readonly string[];
  body: string;
  trailers: string;
  complete: boolean;
}

const usualAnswer = Buffer.from("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");

export class RecordingUpstream {
  requests: UpstreamRequest[] = [];
  answer: Buffer = usualAnswer;
  closes = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async listen(port: number): Promise<RecordingUpstream> {
    const upstream = new RecordingUpstream();
    await new Promise<void>((resolve) => upstream.#server.listen(port, "127.0.0.1", resolve));
    return upstream;
  }

  /** Forgets the requests, and closes connections whose request is unfinished. */
  reset(answer?: Buffer, closes = false): void {
    this.requests = [];
    this.answer = answer ?? usualAnswer;
    this.closes = closes;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    let rest = "";
    let current: UpstreamRequest | undefined;
    const finish = (request: UpstreamRequest): void => {
      request.complete = true;
      current = undefined;
      socket.write(this.answer);
      if (this.closes) socket.end();
    };
    socket.on("data", (chunk) => {
      rest += chunk.toString("latin1");
      for (;;) {
        if (current === undefined) {
          const end = rest.indexOf("\r\n\r\n");
          if (end < 0) return;
          const [line = "", ...fields] = rest.slice(0, end).split("\r\n");
          current = { line, fields, body: "", trailers: "", complete: false };
          this.requests.push(current);
          rest = rest.slice(end + 4);
        }
        const used = takeBody(current, rest);
        if (used === undefined) return;
        rest = rest.slice(used);
        finish(current);
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }
}

/** The length of the request's body in the text. Undefined if the body is incomplete. */
function takeBody(request: UpstreamRequest, text: string): number | undefined {
  const valueOf = (name: string): string | undefined =>
    request.fields
      .find((field) => field.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  if (/chunked/i.test(valueOf("transfer-encoding") ?? "")) return takeChunks(request, text);
  const length = Number(valueOf("content-length") ?? "0");
  request.body = text.slice(0, length);
  return text.length >= length ? length : undefined;
}

/** Reads a chunked body. Its text keeps chunk extensions, so that they are compared too. */
function takeChunks(request: UpstreamRequest, text: string): number | undefined {
  let at = 0;
  let body = "";
  for (;;) {
    const end = text.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const line = text.slice(at, end);
    const extension = line.indexOf(";");
    if (extension >= 0) body += `<${line.slice(extension)}>`;
    const size = Number.parseInt(line, 16);
    if (!(size > 0)) {
      request.body = body;
      const last = text.indexOf("\r\n", end + 2);
      if (text.startsWith("\r\n", end + 2)) return end + 4;
      const trailersEnd = text.indexOf("\r\n\r\n", end);
      if (last < 0 || trailersEnd < 0) return undefined;
      request.trailers = text.slice(end + 2, trailersEnd);
      return trailersEnd + 4;
    }
    body += text.slice(end + 2, end + 2 + size);
    request.body = body;
    at = end + 2 + size + 2;
    if (at > text.length) return undefined;
  }
}
