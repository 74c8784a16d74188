import { open, type FileHandle } from "node:fs/promises";
import type { Clock } from "../base/index.ts";

/** Where whole lines go. One write is in flight at a time. */
export interface AccessLogSink {
  write(bytes: Uint8Array): Promise<void>;
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

/** Lines are turned into bytes together: one at a time costs more for the call than for the bytes. */
const encodedTogether = 4096;
/** Bytes of UTF-8 that a character of a JavaScript string takes at most. */
const maxBytesACharacter = 3;

/**
 * Collects lines and writes them in batches. When the sink is slower than the lines come, lines are dropped and counted,
 * never queued without bound.
 */
export class AccessLog {
  readonly #options: AccessLogOptions;
  #filling: Buffer;
  #spare: Buffer;
  #used = 0;
  /** Lines that are no bytes yet. */
  #pending = "";
  #writing: Promise<void> | undefined;
  #timer: Disposable | undefined;
  #droppedLines = 0;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    const size = options.bufferBytes ?? 262_144;
    this.#filling = Buffer.allocUnsafeSlow(size);
    this.#spare = Buffer.allocUnsafeSlow(size);
  }

  /** Lines lost since the start. */
  get droppedLines(): number {
    return this.#droppedLines;
  }

  /** Takes one line, its newline included. */
  line(text: string): void {
    if (!this.#hasRoom(text)) this.#swap();
    if (!this.#hasRoom(text)) {
      this.#drop();
      return;
    }
    this.#pending += text;
    if (this.#pending.length >= encodedTogether) this.#encode();
    this.#timer ??= this.#options.clock.after(this.#options.flushIntervalMs ?? 1000, () => {
      this.#timer = undefined;
      this.#swap();
    });
  }

  /** Resolves when all lines taken so far are with the sink, or lost by its failure. */
  async flush(): Promise<void> {
    while (this.#used > 0 || this.#pending !== "" || this.#writing !== undefined) {
      this.#swap();
      await this.#writing;
    }
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #drop(): void {
    if (this.#droppedLines === 0) this.#options.onTrouble?.("the access log's sink is too slow: lines are dropped and counted");
    this.#droppedLines += 1;
  }

  #hasRoom(text: string): boolean {
    return this.#used + (this.#pending.length + text.length) * maxBytesACharacter <= this.#filling.length;
  }

  #encode(): void {
    this.#used += this.#filling.write(this.#pending, this.#used);
    this.#pending = "";
  }

  #swap(): void {
    this.#encode();
    if (this.#writing !== undefined || this.#used === 0) return;
    const bytes = this.#filling.subarray(0, this.#used);
    const full = this.#filling;
    this.#filling = this.#spare;
    this.#used = 0;
    this.#writing = this.#options.sink
      .write(bytes)
      .catch((error: unknown) => this.#options.onTrouble?.(`the access log cannot be written: ${String(error)}`))
      .then(() => {
        this.#spare = full;
        this.#writing = undefined;
        if (this.#used > this.#filling.length / 2) this.#swap();
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
      for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
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
