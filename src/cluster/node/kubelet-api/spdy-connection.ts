import { Duplex } from "node:stream";
import { SpdySession, type SpdyStream } from "../../../wire/spdy/index.ts";

/**
 * How long the server waits, in milliseconds, for the client to read the end of the output and to close the connection.
 * It must not close the connection earlier: if the client sends anything to a closed connection, such as the end of a
 * stream, the kernel resets the connection, and the client loses its unread data.
 */
const readingTimeoutMs = 10_000;

/** The server side of SPDY/3.1 over an upgraded connection. Each stream of the client is a Duplex. */
export class SpdyConnection {
  readonly #socket: Duplex;
  readonly #streams = new Set<SpdyDuplex>();

  constructor(socket: Duplex, onStream: (stream: SpdyDuplex) => void) {
    this.#socket = socket;
    const session = new SpdySession({
      role: "server",
      send: (bytes) => {
        if (socket.writable) socket.write(bytes);
      },
      opened: (stream) => {
        const duplex = new SpdyDuplex(stream, socket);
        this.#streams.add(duplex);
        duplex.once("close", () => this.#streams.delete(duplex));
        onStream(duplex);
      },
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        session.receive(chunk);
      } catch {
        // The data is invalid SPDY, so the connection cannot continue.
        this.close();
      }
    });
    socket.on("error", () => this.close());
    socket.on("close", () => this.close());
  }

  /** Ends the connection and all its streams at once. */
  close(): void {
    for (const stream of this.#streams) stream.destroy();
    this.#streams.clear();
    this.#socket.destroy();
  }

  /** Sends all written data and then ends the sending side. Closes the connection {@link readingTimeoutMs} later. */
  async end(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.end(() => resolve()));
    setTimeout(() => this.close(), readingTimeoutMs).unref();
  }
}

/** A SPDY stream with flow control: it waits for its reader and for the connection. */
export class SpdyDuplex extends Duplex {
  readonly #stream: SpdyStream;
  readonly #socket: Duplex;
  #remoteEnded = false;
  #localEnded = false;

  constructor(stream: SpdyStream, socket: Duplex) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    this.#socket = socket;
    this.on("error", () => undefined);
    stream.setHandler({
      data: (bytes) => {
        // The clients do not support flow control for single streams, so a slow reader pauses the whole connection.
        if (!this.push(Buffer.from(bytes))) socket.pause();
      },
      end: () => {
        this.#remoteEnded = true;
        this.push(null);
      },
      reset: () => {
        this.#remoteEnded = true;
        this.#localEnded = true;
        this.destroy();
      },
    });
  }

  header(name: string): string | undefined {
    return (this.#stream.headers as Readonly<Record<string, string | undefined>>)[name];
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#stream.write(chunk);
    if (this.#socket.writableNeedDrain && !this.#socket.destroyed) {
      const go = (): void => {
        this.#socket.off("drain", go);
        this.#socket.off("close", go);
        done();
      };
      this.#socket.on("drain", go);
      this.#socket.on("close", go);
    } else done();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#localEnded = true;
    this.#stream.end();
    done();
  }

  /** Cancels the stream unless both sides have ended it. Otherwise the peer would wait for its end. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#remoteEnded || !this.#localEnded) this.#stream.reset();
    done(error);
  }
}
