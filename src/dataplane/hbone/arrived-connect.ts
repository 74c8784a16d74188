import type { ByteStream, ByteStreamHandler, SocketAddress } from "../../net/index.ts";
import type { Headers } from "../../wire/hbone/index.ts";
import { errorCode, hpackEncode } from "../../wire/http2/index.ts";
import type { HboneRequest } from "./hbone-types.ts";
import { fieldOf, headersOf } from "./request-fields.ts";
import type { TunnelConnection } from "./tunnel-connection.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

const noHeaders: Headers = [];
/**
 * The encoded headers of responses by their headers object. A server that always accepts with the same object encodes
 * it once.
 */
const acceptances = new WeakMap<Headers, Buffer>();

function acceptance(headers: Headers): Buffer {
  let block = acceptances.get(headers);
  if (block === undefined) acceptances.set(headers, (block = hpackEncode([":status", "200", ...headers.flat()])));
  return block;
}

/**
 * A CONNECT from a peer. It is the handler of the stream until the request is answered. During that time, only the end
 * of the stream can arrive.
 */
export class ArrivedConnect implements HboneRequest, ByteStreamHandler {
  readonly authority: string;
  readonly #connection: TunnelConnection;
  readonly #stream: TunnelStream;
  readonly #fields: readonly string[];
  #withdrawn: Error | undefined;
  #onWithdrawn: ((reason: Error) => void) | undefined;

  constructor(connection: TunnelConnection, stream: TunnelStream, fields: readonly string[]) {
    this.#connection = connection;
    this.#stream = stream;
    this.authority = fieldOf(fields, ":authority") ?? "";
    this.#fields = fields;
  }

  field(name: string): string | undefined {
    return fieldOf(this.#fields, name);
  }

  get headers(): Headers {
    return headersOf(this.#fields);
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

  accept(headers: Headers = noHeaders): ByteStream {
    if (!this.#stream.closed) this.#connection.session.sendBlock(this.#stream, acceptance(headers), false);
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
