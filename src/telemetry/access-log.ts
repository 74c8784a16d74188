import { open, type FileHandle } from "node:fs/promises";
import { isMainThread } from "node:worker_threads";
import type { Clock, LogLevel } from "../base/index.ts";
import { LineBuffer } from "./line-buffer.ts";

/**
 * Where an access log writes. Each write contains only whole lines, and the log starts a write only after the one
 * before has ended.
 */
export interface AccessLogSink {
  write(bytes: Uint8Array): Promise<void>;
  /** Releases open resources. A later write opens them again. */
  close?(): Promise<void>;
}

export interface AccessLogOptions {
  readonly sink: AccessLogSink;
  readonly clock: Clock;
  /** The maximum time for which lines wait. 1 s if absent. */
  readonly flushIntervalMs?: number;
  /**
   * The size of each of the two buffers. 256 KiB if absent, so that a write costs little compared with formatting its
   * lines.
   */
  readonly bufferBytes?: number;
  /** Called once when lines begin to be lost, and once for each failed write. */
  readonly onTrouble?: (message: string) => void;
}

/**
 * Collects lines and writes them in batches. If the sink is too slow, lines are dropped and counted. The queue never
 * grows without bound.
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
  /** The time from which a warning may again be written at once. */
  #nextWarningMs = 0;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    this.#flushIntervalMs = options.flushIntervalMs ?? 1000;
    const size = options.bufferBytes ?? 262_144;
    this.#filling = new LineBuffer(size);
    this.#spare = new LineBuffer(size);
  }

  /** Lines lost since the start. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /** Adds one line, which includes its newline. */
  line(text: string): void {
    do this.begin().text(text);
    while (!this.end());
  }

  /**
   * Adds a line of a logger. An error is written at once, because it may explain why the thread is ending. A warning is
   * written at once too, but only one in each interval, because clients can cause many of them.
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

  /** The buffer for the bytes of one line, which includes its newline. Call {@link end} after the last byte. */
  begin(): LineBuffer {
    return this.#filling.begin();
  }

  /** Returns false if there was no room. Write the line again from its beginning. */
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

  /** Writes all lines so far, after the write in flight. */
  #writeSoon(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    this.#isDue = true;
    this.#swap();
  }

  /** Resolves when the sink has written all lines so far, or has lost them by a failure. */
  async flush(): Promise<void> {
    while (this.#filling.used > 0 || this.#writing !== undefined) {
      this.#swap();
      await this.#writing;
    }
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  /** Writes all lines so far, and closes the sink. */
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

/** Appends to a file, which is opened at the first write. `/dev/stdout` and `/dev/stderr` are the process's own. */
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
      // A file that could not be opened needs no closing. The write has reported it.
      await open?.then(
        async (handle) => await handle.close(),
        () => undefined,
      );
    },
  };
}

/**
 * Writes to a stream. A worker thread's stream sends each chunk to the main thread, which writes it. Sending a view
 * would copy all of the memory behind it, which is the whole buffer of lines. So a worker sends a copy of the lines
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
