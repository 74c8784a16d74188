import type { ByteStream, ByteStreamHandler } from "../../net/index.ts";
import type { ListenerConnection } from "./listener-connection.ts";

const http2Preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export interface CodecDetectorOptions {
  readonly stream: ByteStream;
  /** How long a client may take for its first bytes, in milliseconds; 0 means no limit. Called at each sweep. */
  readonly limitMs: () => number;
  readonly onDetected: (codec: "http1" | "http2", received: Buffer) => void;
  /** Called instead of {@link onDetected} if the connection ends first. */
  readonly onClosed: () => void;
}

/** Waits for a connection's first bytes to find its protocol: only HTTP/2 begins with the HTTP/2 preface. */
export class CodecDetector implements ByteStreamHandler, ListenerConnection {
  readonly #options: CodecDetectorOptions;
  #received: Buffer | undefined;
  #sweeps = 0;
  #over = false;
  isListed = false;
  previous: ListenerConnection | undefined;
  next: ListenerConnection | undefined;

  constructor(options: CodecDetectorOptions) {
    this.#options = options;
  }

  get peer(): string {
    return this.#options.stream.remote.address;
  }

  start(): void {
    this.#options.stream.setHandler(this);
    this.#options.stream.resume();
  }

  drain(): void {
    // Nothing to do, because nothing was written.
  }

  leave(): void {
    // Nothing to do: in either protocol, the first response will tell the client to close the connection.
  }

  data(chunk: Buffer): void {
    if (this.#over) return;
    const bytes = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk]);
    const length = Math.min(bytes.length, http2Preface.length);
    const alike = bytes.compare(http2Preface, 0, length, 0, length) === 0;
    if (alike && length < http2Preface.length) {
      this.#received = Buffer.from(bytes);
      return;
    }
    this.#over = true;
    this.#options.onDetected(alike ? "http2" : "http1", bytes);
  }

  end(): void {
    this.abort();
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.onClosed();
  }

  closeIfIdle(_nowMs: number, quietMs: number): void {
    if (this.#received === undefined && this.#sweeps * 1000 >= quietMs) this.abort();
  }

  sweep(): void {
    this.#sweeps += 1;
    const limitMs = this.#options.limitMs();
    if (limitMs > 0 && this.#sweeps * 1000 > limitMs) this.abort();
  }

  abort(): void {
    this.#options.stream.destroy();
    this.close();
  }
}
