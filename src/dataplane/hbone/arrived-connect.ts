import type { ByteStream, ByteStreamHandler, SocketAddress } from "../../net/index.ts";
import type { Headers } from "../../wire/hbone/index.ts";
import { errorCode } from "../../wire/http2/index.ts";
import type { HboneRequest } from "./hbone-types.ts";
import { fieldOf, headersOf } from "./request-fields.ts";
import type { TunnelConnection } from "./tunnel-connection.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

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
    this.headers = headersOf(fields);
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
    this.#withdrawn = new Error("the peer cancelled the request");
    this.#onWithdrawn?.(this.#withdrawn);
  }
}
