import type { Socket } from "node:net";
import { contained, containing } from "../base/index.ts";
import { unmapIp } from "../wire/netlink/index.ts";
import type { ByteStream, ByteStreamHandler, SocketAddress } from "./byte-stream.ts";
import { resetOnClose } from "./namespace-socket.ts";
import { networkError } from "./node-error.ts";

/**
 * A {@link ByteStream} over a `net.Socket` or `TLSSocket` with `allowHalfOpen`. It is slower than {@link HandleStream},
 * but needs only Node's public API.
 */
export class SocketStream implements ByteStream {
  readonly #socket: Socket;
  readonly #under: ByteStream | undefined;
  readonly #listeners: (readonly [event: string, listener: (...values: unknown[]) => void])[] = [];
  #handler: ByteStreamHandler | undefined;
  #error: Error | undefined;
  #closed = false;
  #toldClose = false;
  #ended = false;
  #endSuccessor: (() => void) | undefined;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  receivedBytes = 0;
  sentBytes = 0;

  /** `under` is the stream that carries a TLS socket. It is undefined if Node's own TCP socket does. */
  constructor(socket: Socket, under?: ByteStream) {
    this.#socket = socket;
    this.#under = under;
    this.local = under?.local ?? { address: unmapIp(socket.localAddress ?? ""), port: socket.localPort ?? 0 };
    this.remote = under?.remote ?? { address: unmapIp(socket.remoteAddress ?? ""), port: socket.remotePort ?? 0 };
    if (under === undefined) socket.setNoDelay(true);
    socket.pause();
    this.#listen("error", (error: unknown) => {
      this.#error ??= networkError(`connection with ${this.remote.address}:${this.remote.port}`, error);
      // Close the socket, because Node does not do so after a TLS alert. The connection would seem to end in an orderly
      // way.
      socket.destroy();
    });
    this.#listen("close", () => this.#onClose());
  }

  setHandler(handler: ByteStreamHandler): void {
    const first = this.#handler === undefined;
    this.#handler = handler;
    if (this.#toldClose) queueMicrotask(() => containing(() => handler.close(this.#error)));
    if (!first || this.#closed) return;
    this.#listen("data", (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      this.#handler?.data(chunk);
    });
    // Pause the socket again. A Node stream starts when it gets a data listener, but a ByteStream waits for `resume`.
    this.#socket.pause();
    this.#listen("end", () => this.#handler?.end());
    this.#listen("drain", () => this.#handler?.drain());
  }

  get fd(): number {
    return this.#closed ? -1 : (this.#under?.fd ?? descriptorOf(this.#socket));
  }
  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Hands the socket over, for example to a TLS handshake. After that, only {@link destroy} may be called. */
  detach(): Socket {
    this.#closed = true;
    for (const [event, listener] of this.#listeners) this.#socket.off(event, listener);
    this.#socket.pause();
    return this.#socket;
  }

  /** Names what {@link destroy} must call, because the socket has another user now. Call it after {@link detach}. */
  handedOn(end: () => void): void {
    this.#endSuccessor = end;
  }

  /** Puts bytes back before the next ones, without counting them twice. The stream must be paused. */
  unread(bytes: Buffer): void {
    if (this.#closed) return;
    this.receivedBytes -= bytes.length;
    this.#socket.unshift(bytes);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed || this.#socket.destroyed) return false;
    this.sentBytes += bytes.length;
    return this.#socket.write(bytes);
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    this.#socket.end();
  }

  destroy(options: { readonly error?: Error; readonly reset?: boolean } = {}): void {
    this.#endSuccessor?.();
    if (this.#closed || this.#socket.destroyed) return;
    this.#error = options.error;
    if (options.reset === true && this.fd >= 0) resetOnClose(this.fd);
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    if (!this.#closed) this.#socket.resume();
  }

  #listen<Arguments extends unknown[]>(event: string, listener: (...values: Arguments) => void): void {
    // Record the listeners, so that only they are removed later. Removing all listeners would resume a paused socket.
    const any = (...values: unknown[]): void => {
      try {
        listener(...(values as Arguments));
      } catch (error) {
        this.destroy({ error: contained(error), reset: true });
      }
    };
    this.#listeners.push([event, any]);
    this.#socket.on(event, any);
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#toldClose = true;
    this.#handler?.close(this.#error);
  }
}

/** The descriptor of a socket, even of the one below TLS. -1 if there is none. */
export function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  return handle?.fd ?? -1;
}
