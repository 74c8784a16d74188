import { open, type FileHandle } from "node:fs/promises";
import { isMainThread } from "node:worker_threads";
import type { Clock, LogLevel } from "../base/index.ts";
import { LineBuffer } from "./line-buffer.ts";

/**
 * Where an access log writes. Each write contains only whole lines. The log starts a write only after the previous one
 * has ended.
 */
export interface AccessLogSink {
  write(bytes: Uint8Array): Promise<void>;
  /** Releases open resources. A later write opens them again. */
  close?(): Promise<void>;
}

export interface AccessLogOptions {
  readonly sink: AccessLogSink;
  readonly clock: Clock;
  /** The maximum time in milliseconds for which lines wait. The default is 1 s. */
  readonly flushIntervalMs?: number;
  /**
   * The size of each of the two buffers. The default is 256 KiB. With this size, a write costs little compared with
   * formatting its lines.
   */
  readonly bufferBytes?: number;
  /** Called once when the first line is dropped, and once for each failed write. */
  readonly onTrouble?: (message: string) => void;
}

/**
 * Collects lines and writes them in batches. If the sink is too slow, lines are dropped and counted, so that the
 * buffers do not grow.
 */
export class AccessLog {
  readonly #options: AccessLogOptions;
  #filling: LineBuffer;
  #spare: LineBuffer;
  #writing: Promise<void> | undefined;
  #timer: Disposable | undefined;
  /** Whether the flush interval has passed while the sink was still writing. */
  #isDue = false;
  #droppedLines = 0;
  readonly #flushIntervalMs: number;
  /** The steady time from which a warning may be written at once again. */
  #nextWarningMs = 0;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    this.#flushIntervalMs = options.flushIntervalMs ?? 1000;
    const size = options.bufferBytes ?? 262_144;
    this.#filling = new LineBuffer(size);
    this.#spare = new LineBuffer(size);
  }

  /** The number of lines that were dropped because no buffer had room. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /** Adds one line. The text includes its newline. */
  line(text: string): void {
    do this.begin().text(text);
    while (!this.end());
  }

  /**
   * Adds a line of a logger. An error is written at once, because it may explain why the thread is ending. A warning is
   * written at once too, but only one in each interval, because clients can cause many warnings.
   */
  logLine(text: string, level: LogLevel): void {
    this.line(text);
    if (level === "error") this.#writeSoon();
    if (level !== "warn") return;
    const nowMs = this.#options.clock.steadyMs();
    if (nowMs < this.#nextWarningMs) return;
    this.#nextWarningMs = nowMs + this.#flushIntervalMs;
    this.#writeSoon();
  }

  /** Returns the buffer for the bytes of one line, which includes its newline. Call {@link end} after the last byte. */
  begin(): LineBuffer {
    return this.#filling.begin();
  }

  /**
   * Ends the line. If it returns false, the buffer had no room, and the caller must write the line again from its
   * beginning.
   */
  end(): boolean {
    const filling = this.#filling;
    if (filling.isFull) {
      this.#swap();
      if (this.#filling !== filling) return false;
      this.#drop();
      return true;
    }
    filling.keep();
    this.#awaitWrite();
    return true;
  }

  #awaitWrite(): void {
    this.#timer ??= this.#options.clock.after(this.#flushIntervalMs, () => this.#writeSoon());
  }

  /** Writes all lines so far, once the present write has ended. */
  #writeSoon(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#isDue = true;
    this.#swap();
  }

  /** Resolves when all lines so far are written, or lost because a write failed. */
  async flush(): Promise<void> {
    while (this.#filling.used > 0 || this.#writing !== undefined) {
      this.#swap();
      await this.#writing;
    }
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#options.sink.close?.();
  }

  #drop(): void {
    if (this.#droppedLines === 0)
      this.#options.onTrouble?.("the access log's sink is too slow: dropping lines, and counting them");
    this.#droppedLines += 1;
  }

  #swap(): void {
    const full = this.#filling;
    if (this.#writing !== undefined || full.used === 0) return;
    this.#filling = this.#spare;
    this.#isDue = false;
    this.#writing = this.#options.sink
      .write(full.lines())
      .catch((error: unknown) => this.#options.onTrouble?.(`the access log cannot be written: ${String(error)}`))
      .then(() => {
        full.clear();
        this.#spare = full;
        this.#writing = undefined;
        if (this.#isDue || this.#filling.isHalfUsed) this.#swap();
      });
  }
}

/**
 * Returns a sink that appends to a file, which is opened at the first write. `/dev/stdout` and `/dev/stderr` are the
 * process's own streams.
 */
export function fileSink(path: string): AccessLogSink {
  if (path === "/dev/stdout") return streamSink(process.stdout);
  if (path === "/dev/stderr") return streamSink(process.stderr);
  let file: Promise<FileHandle> | undefined;
  return {
    async write(bytes) {
      file ??= open(path, "a");
      const handle = await file.catch((error: unknown) => {
        file = undefined;
        throw error;
      });
      for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
    },
    async close() {
      const open = file;
      file = undefined;
      // A file that could not be opened needs no closing. The failed write has already reported it.
      await open?.then(
        async (handle) => await handle.close(),
        () => undefined,
      );
    },
  };
}

/**
 * Returns a sink for a stream. A worker thread's stream sends each chunk to the main thread, which writes it. Sending a
 * view would copy the whole memory behind it, which is the buffer of all lines. So a worker sends a copy of the lines
 * alone.
 */
function streamSink(stream: NodeJS.WritableStream): AccessLogSink {
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(isMainThread ? bytes : new Uint8Array(bytes), (error) => {
          if (error === null || error === undefined) resolve();
          else reject(error);
        });
      }),
  };
}
