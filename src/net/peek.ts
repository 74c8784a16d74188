import { contained } from "../base/index.ts";
import type { ByteStream, ByteStreamHandler, SocketAddress } from "./byte-stream.ts";
import { HandleStream } from "./handle-stream.ts";
import { SocketStream } from "./socket-stream.ts";

export interface PeekOptions {
  /** Whether the bytes so far are enough. It is also called after the timeout, perhaps with no bytes. */
  readonly enough: (bytes: Buffer) => boolean;
  readonly maxBytes: number;
  /** 0 means without limit. */
  readonly timeoutMs: number;
}

export interface Peeked {
  readonly bytes: Buffer;
  /** `ended` means that the peer ended its side, or that the connection closed, before there were enough bytes. */
  readonly outcome: "enough" | "timeout" | "ended";
  /** Why the connection failed, for example a TLS alert of the peer. Undefined if it did not fail. */
  readonly error?: Error | undefined;
}

/**
 * Reads the first bytes of a paused stream, and pauses it again. The bytes are then no longer in the stream: pass them
 * to {@link unread} or to a TLS handshake. Peeking replaces the stream's handler.
 */
export function peek(stream: ByteStream, options: PeekOptions): Promise<Peeked> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0);
    let timer: NodeJS.Timeout | undefined;
    const finish = (outcome: Peeked["outcome"], error?: Error): void => {
      clearTimeout(timer);
      stream.setHandler(ignoring);
      if (outcome !== "ended") stream.pause();
      resolve({ bytes, outcome, error });
    };
    stream.setHandler({
      data: (chunk) => {
        bytes = bytes.length === 0 ? Buffer.from(chunk) : Buffer.concat([bytes, chunk]);
        if (bytes.length >= options.maxBytes || options.enough(bytes)) finish("enough");
      },
      end: () => finish("ended"),
      drain: () => undefined,
      close: (error) => finish("ended", error),
    });
    if (options.timeoutMs > 0) timer = setTimeout(() => finish("timeout"), options.timeoutMs);
    stream.resume();
  });
}

const ignoring: ByteStreamHandler = {
  data: () => undefined,
  end: () => undefined,
  drain: () => undefined,
  close: () => undefined,
};

/** A paused stream that delivers these bytes before all others. Use the result instead of the given stream. */
export function unread(stream: ByteStream, bytes: Buffer): ByteStream {
  if (bytes.length === 0) return stream;
  if (stream instanceof HandleStream || stream instanceof SocketStream) {
    stream.unread(bytes);
    return stream;
  }
  return new PrefixedStream(stream, bytes);
}

class PrefixedStream implements ByteStream {
  readonly #inner: ByteStream;
  #prefix: Buffer | undefined;
  #handler: ByteStreamHandler = ignoring;
  #scheduled = false;
  #paused = true;
  #closed = false;

  constructor(inner: ByteStream, prefix: Buffer) {
    this.#inner = inner;
    this.#prefix = prefix;
    inner.setHandler({
      data: (chunk) => this.#handler.data(chunk),
      end: () => this.#handler.end(),
      drain: () => this.#handler.drain(),
      close: (error) => {
        this.#closed = true;
        this.#handler.close(error);
      },
    });
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }
  get local(): SocketAddress {
    return this.#inner.local;
  }
  get remote(): SocketAddress {
    return this.#inner.remote;
  }
  get fd(): number {
    return this.#inner.fd;
  }
  get receivedBytes(): number {
    return this.#inner.receivedBytes;
  }
  get sentBytes(): number {
    return this.#inner.sentBytes;
  }

  setHandler(handler: ByteStreamHandler): void {
    this.#handler = handler;
    // After the prefix, data goes directly to the handler. A closed stream calls the handler's `close`.
    if (this.#prefix === undefined || this.#closed) this.#inner.setHandler(handler);
  }
  write(bytes: Uint8Array): boolean {
    return this.#inner.write(bytes);
  }
  end(): void {
    this.#inner.end();
  }
  destroy(options?: { readonly error?: Error; readonly reset?: boolean }): void {
    this.#inner.destroy(options);
  }
  pause(): void {
    this.#paused = true;
    if (this.#prefix === undefined) this.#inner.pause();
  }
  resume(): void {
    this.#paused = false;
    if (this.#prefix === undefined) return this.#inner.resume();
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Do not call the handler before `resume` has returned.
    process.nextTick(() => {
      try {
        this.#deliverPrefix();
      } catch (error) {
        this.#inner.destroy({ error: contained(error), reset: true });
      }
    });
  }

  #deliverPrefix(): void {
    this.#scheduled = false;
    const prefix = this.#prefix;
    if (this.#paused || this.#closed || prefix === undefined) return;
    this.#prefix = undefined;
    this.#inner.setHandler(this.#handler);
    this.#handler.data(prefix);
    if (!this.#paused) this.#inner.resume();
  }
}
