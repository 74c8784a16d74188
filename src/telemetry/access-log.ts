import { open, type FileHandle } from "node:fs/promises";
import type { Clock } from "../base/index.ts";
import { LineBuffer } from "./line-buffer.ts";

/** Where whole lines go. One write is in flight at a time. */
export interface AccessLogSink {
  write(bytes: Uint8Array): Promise<void>;
}

/** Holds what lines are made of, and makes them later, many in a row. */
export interface LineHolder {
  /** Gives the lines to their log. */
  release(): void;
}

export interface AccessLogOptions {
  readonly sink: AccessLogSink;
  readonly clock: Clock;
  /** Lines wait at most this long; 1 s when absent. */
  readonly flushIntervalMs?: number;
  /** Bytes a buffer holds; there are two. 256 KiB when absent: a write costs as much as the formatting of many lines. */
  readonly bufferBytes?: number;
  /** Told once when lines begin to be lost, and once for each failed write. */
  readonly onTrouble?: (message: string) => void;
}

/**
 * Collects lines and writes them in batches. When the sink is slower than the lines come, lines are dropped and counted,
 * never queued without bound.
 */
export class AccessLog {
  readonly #options: AccessLogOptions;
  #filling: LineBuffer;
  #spare: LineBuffer;
  #writing: Promise<void> | undefined;
  #timer: Disposable | undefined;
  /** Lines have waited long enough, but the sink is still busy with those before. */
  #isDue = false;
  #droppedLines = 0;
  /** Those that may hold lines since the last write. */
  readonly #holders = new Set<LineHolder>();

  constructor(options: AccessLogOptions) {
    this.#options = options;
    const size = options.bufferBytes ?? 262_144;
    this.#filling = new LineBuffer(size);
    this.#spare = new LineBuffer(size);
  }

  /** Lines lost since the start. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /** Takes one line, its newline included. */
  line(text: string): void {
    do this.begin().text(text);
    while (!this.end());
  }

  /** Where the bytes of one line go, its newline included; {@link end} says that they are there. */
  begin(): LineBuffer {
    return this.#filling.begin();
  }

  /** False: there was no room for the line, which is to be written once more from its beginning. */
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

  /** Lines are held for this log from now on: they are asked for before each write that is due to time, and by {@link flush}. */
  held(by: LineHolder): void {
    this.#holders.add(by);
    this.#awaitWrite();
  }

  #awaitWrite(): void {
    this.#timer ??= this.#options.clock.after(this.#options.flushIntervalMs ?? 1000, () => {
      this.#release();
      this.#timer = undefined;
      this.#isDue = true;
      this.#swap();
    });
  }

  #release(): void {
    for (const holder of this.#holders) holder.release();
    this.#holders.clear();
  }

  /** Resolves when all lines taken so far are with the sink, or lost by its failure. */
  async flush(): Promise<void> {
    this.#release();
    while (this.#filling.used > 0 || this.#writing !== undefined) {
      this.#swap();
      await this.#writing;
      this.#release();
    }
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #drop(): void {
    if (this.#droppedLines === 0)
      this.#options.onTrouble?.("the access log's sink is too slow: lines are dropped and counted");
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

/** Appends to a file, opened at the first write; `/dev/stdout` and `/dev/stderr` are the process's own. */
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
  };
}

function streamSink(stream: NodeJS.WritableStream): AccessLogSink {
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => {
          if (error === null || error === undefined) resolve();
          else reject(error);
        });
      }),
  };
}
