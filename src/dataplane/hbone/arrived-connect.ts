import type { ByteStream, ByteStreamHandler, SocketAddress } from "../../net/index.ts";
import type { Headers } from "../../wire/hbone/index.ts";
import { errorCode } from "../../wire/http2/index.ts";
import type { HboneRequest } from "./hbone-types.ts";
import type { TunnelConnection } from "./tunnel-connection.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

/** The value of a field in a decoded header block (alternating names and values). */
export function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let index = 0; index < fields.length; index += 2) if (fields[index] === name) return fields[index + 1];
  return undefined;
}

/** A CONNECT from a peer. Handles its stream until the answer, when nothing but its end can arrive. */
export class ArrivedConnect implements HboneRequest, ByteStreamHandler {
  readonly authority: string;
  readonly headers: Headers;
  readonly #connection: TunnelConnection;
  readonly #stream: TunnelStream;
  #withdrawn: Error | undefined;
  #onWithdrawn: ((reason: Error) => void) | undefined;

  constructor(connection: TunnelConnection, stream: TunnelStream, fields: readonly string[]) {
    this.#connection = connection;
    this.#stream = stream;
    this.authority = fieldOf(fields, ":authority") ?? "";
    const headers: [string, string][] = [];
    for (let index = 0; index + 1 < fields.length; index += 2) {
      const name = fields[index] ?? "";
      if (!name.startsWith(":")) headers.push([name, fields[index + 1] ?? ""]);
    }
    this.headers = headers;
  }

  get peerIdentity(): string {
    return this.#connection.peerIdentity;
  }
  get local(): SocketAddress {
    return this.#connection.local;
  }
  get remote(): SocketAddress {
    return this.#connection.remote;
  }

  onWithdrawn(run: (reason: Error) => void): void {
    this.#onWithdrawn = run;
    if (this.#withdrawn !== undefined) run(this.#withdrawn);
  }

  accept(headers: Headers = []): ByteStream {
    const fields = [":status", "200"];
    for (const [name, value] of headers) fields.push(name, value);
    if (!this.#stream.closed) this.#connection.session.sendHeaders(this.#stream, fields, false);
    return this.#stream;
  }

  reject(status: number, headers: Headers = []): void {
    if (this.#stream.closed) return;
    const { session } = this.#connection;
    session.sendHeaders(this.#stream, [":status", String(status), ...headers.flat()], true);
    session.reset(this.#stream, errorCode.noError);
    this.#stream.abort(undefined);
  }

  data(): void {}
  end(): void {}
  drain(): void {}

  close(): void {
    this.#withdrawn = new Error("the peer took the request back");
    this.#onWithdrawn?.(this.#withdrawn);
  }
}
