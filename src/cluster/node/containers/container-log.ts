import { closeSync, constants, fstatSync, renameSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import { basename, dirname } from "node:path";
import type { Duplex } from "node:stream";
import { onAbort, transientError, type Clock } from "../../../base/index.ts";
import { inDirectoryBelow, openFileBelow, readEndBelow, type PlaceBelow } from "../place-below.ts";

/**
 * The size at which a log file is renamed to `.1`, which replaces the previous `.1`. The two files of a run therefore
 * take about twice this size together.
 */
const rotateBytes = 10 * 1024 * 1024;
/**
 * The maximum number of bytes that a reader gets from the end of one log file. A pod with a hostPath volume can make a
 * log file larger than {@link rotateBytes}.
 */
const maxReadBytes = 2 * rotateBytes;
/** An unfinished line is written in parts of this many bytes, as container runtimes do. */
const partBytes = 16 * 1024;
/** The maximum number of log characters that wait for one follower. Beyond it, the log disconnects the follower. */
const maxQueuedCharacters = rotateBytes;
const newline = 0x0a;

/** Writes bytes to a descriptor. Returns how many bytes were written, or throws. */
type WriteFile = (descriptor: number, bytes: Buffer) => number;

export interface LogReadOptions {
  readonly follow: boolean;
  readonly timestamps: boolean;
  readonly tailLines: number | undefined;
  readonly sinceMs: number | undefined;
  readonly limitBytes: number | undefined;
}

/**
 * The log of one run of a container, in a rotating file with lines in the CRI format (`time stdout F text`). Standard
 * output and standard error share one pipe to keep their order, so both are tagged `stdout`.
 */
export class ContainerLog {
  readonly #place: PlaceBelow;
  readonly #clock: Clock;
  readonly #writeFile: WriteFile;
  /**
   * The descriptor of the log file. It is undefined while the file cannot be opened, for example on a full disk. Each
   * write tries to open the file again.
   */
  #descriptor: number | undefined;
  #size = 0;
  /** Whether the disk became full within the file's last line. */
  #isTorn = false;
  #rest: Buffer = Buffer.alloc(0);
  #ended = false;
  #source: Duplex | undefined;
  readonly #followers = new Set<(lines: readonly LogLine[] | undefined) => void>();
  readonly #listeners = new Set<(chunk: Buffer) => void>();

  constructor(place: PlaceBelow, clock: Clock, writeFile: WriteFile = writeSync) {
    this.#place = place;
    this.#clock = clock;
    this.#writeFile = writeFile;
    try {
      this.#open();
    } catch {
      // Ignore the failure, so that the container can start without a log.
    }
  }

  /** Reads the container's output from its pipe or terminal. Resolves at the end of the output. */
  async consume(output: number | Duplex): Promise<void> {
    const source = typeof output === "number" ? new Socket({ fd: output, readable: true, writable: false }) : output;
    this.#source = source;
    source.on("data", (chunk: Buffer) => this.append(chunk));
    await new Promise<void>((resolve) => {
      source.once("error", () => resolve());
      source.once("close", () => resolve());
      source.once("end", () => source.destroy());
    });
    this.end();
  }

  append(chunk: Buffer): void {
    for (const listener of this.#listeners) listener(chunk);
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const time = new Date(this.#clock.nowMs()).toISOString().replace("Z", "000000Z");
    const lines: LogLine[] = [];
    let from = 0;
    for (let at = data.indexOf(newline); at !== -1; at = data.indexOf(newline, from)) {
      lines.push({ time, text: data.toString("utf8", from, at), partial: false });
      from = at + 1;
    }
    while (data.length - from >= partBytes) {
      lines.push({ time, text: data.toString("utf8", from, from + partBytes), partial: true });
      from += partBytes;
    }
    this.#rest = Buffer.from(data.subarray(from));
    if (lines.length > 0) this.#write(lines);
  }

  /** Writes the incomplete last line and ends the followers. */
  end(): void {
    if (this.#ended) return;
    if (this.#rest.length > 0) this.append(Buffer.from("\n"));
    this.#ended = true;
    this.#source?.destroy();
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    for (const follower of this.#followers) follower(undefined);
    this.#followers.clear();
    this.#listeners.clear();
  }

  /** Passes all further raw output to a listener, for attach. */
  listen(listener: (chunk: Buffer) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Passes the log's text to the reader in pieces. Resolves at the end of the file. With `follow`, resolves when the
   * container ends, `signal` aborts or `limitBytes` is reached. Throws a transient error if a follower falls behind by
   * {@link maxQueuedCharacters}.
   */
  async read(
    options: LogReadOptions,
    write: (text: string) => Promise<void> | void,
    signal: AbortSignal,
  ): Promise<void> {
    const queue: (readonly LogLine[] | undefined)[] = [];
    let queuedCharacters = 0;
    let isBehind = false;
    let wake = (): void => undefined;
    const follower = (lines: readonly LogLine[] | undefined): void => {
      queuedCharacters += charactersOf(lines);
      isBehind = queuedCharacters > maxQueuedCharacters;
      if (isBehind) this.#followers.delete(follower);
      else queue.push(lines);
      wake();
    };
    const following = options.follow && !this.#ended;
    if (following) this.#followers.add(follower);
    const renderer = new LogRenderer(options);
    try {
      await write(renderer.render(readLogFile(this.#place, options)));
      if (!following) return;
      while (!signal.aborted && !renderer.full) {
        if (queue.length === 0) {
          if (isBehind) throw transientError("busy", "the log grew faster than its reader took it");
          const { promise, resolve } = Promise.withResolvers<void>();
          wake = resolve;
          using _abort = onAbort(signal, resolve);
          await promise;
          continue;
        }
        const lines = queue.shift();
        if (lines === undefined) return;
        queuedCharacters -= charactersOf(lines);
        await write(renderer.render(lines));
      }
    } finally {
      this.#followers.delete(follower);
    }
  }

  #write(lines: readonly LogLine[]): void {
    if (this.#ended) return;
    const text = lines.map((line) => `${line.time} stdout ${line.partial ? "P" : "F"} ${line.text}\n`).join("");
    const bytes = Buffer.from(this.#isTorn ? `\n${text}` : text);
    if (this.#size > rotateBytes) this.#rotate();
    try {
      const written = this.#writeFile(this.#descriptor ?? this.#open(), bytes);
      this.#size += written;
      // Remember an incomplete line, so that the next write begins a new line.
      if (written > 0) this.#isTorn = written < bytes.length;
    } catch {
      // A full disk, or a link in place of the file, must not stop the container. The followers still get the lines.
    }
    for (const follower of this.#followers) follower(lines);
  }

  #open(): number {
    const { O_APPEND, O_CREAT, O_WRONLY } = constants;
    this.#descriptor = openFileBelow(this.#place, O_WRONLY | O_APPEND | O_CREAT, 0o640);
    this.#size = fstatSync(this.#descriptor).size;
    return this.#descriptor;
  }

  /**
   * Starts a new file. On a full disk, the rename or the new file may fail. The log then continues in the present file.
   */
  #rotate(): void {
    const { root, path } = this.#place;
    const name = basename(path);
    const former = this.#descriptor;
    try {
      inDirectoryBelow({ root, path: dirname(path) }, { createMissing: false }, (directory) => {
        renameSync(`${directory}/${name}`, `${directory}/${name}.1`);
        try {
          this.#open();
        } catch {
          renameSync(`${directory}/${name}.1`, `${directory}/${name}`);
        }
      });
    } catch {
      return;
    }
    if (former !== undefined && former !== this.#descriptor) closeSync(former);
  }
}

function charactersOf(lines: readonly LogLine[] | undefined): number {
  return lines?.reduce((sum, { text }) => sum + text.length, 0) ?? 0;
}

interface LogLine {
  readonly time: string;
  readonly text: string;
  readonly partial: boolean;
}

/**
 * Reads the log of an earlier run, or of a container whose process is gone. Throws a user error if a link is in the
 * place of the log file.
 */
export function readLogText(place: PlaceBelow, options: LogReadOptions): string {
  return new LogRenderer(options).render(readLogFile(place, options));
}

function readLogFile(place: PlaceBelow, options: LogReadOptions): LogLine[] {
  let lines: LogLine[] = [];
  for (const path of [`${place.path}.1`, place.path])
    for (const line of readEndOrNothing({ root: place.root, path }).split("\n")) {
      const match = /^(\S+) \S+ ([FP]) (.*)$/s.exec(line);
      if (match !== null) lines.push({ time: match[1] ?? "", text: match[3] ?? "", partial: match[2] === "P" });
    }
  const { sinceMs, tailLines } = options;
  if (sinceMs !== undefined) lines = lines.filter((line) => Date.parse(line.time) >= sinceMs);
  if (tailLines !== undefined) lines = tailLines === 0 ? [] : lines.slice(-tailLines);
  return lines;
}

function readEndOrNothing(place: PlaceBelow): string {
  try {
    return readEndBelow(place, maxReadBytes).toString("utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

class LogRenderer {
  readonly #timestamps: boolean;
  #left: number;

  constructor(options: LogReadOptions) {
    this.#timestamps = options.timestamps;
    this.#left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  get full(): boolean {
    return this.#left <= 0;
  }

  render(lines: readonly LogLine[]): string {
    const text = lines
      .map((line) => `${this.#timestamps ? `${line.time} ` : ""}${line.text}${line.partial ? "" : "\n"}`)
      .join("");
    const bytes = Buffer.byteLength(text);
    if (bytes <= this.#left) {
      this.#left -= bytes;
      return text;
    }
    const cut = Buffer.from(text).subarray(0, this.#left).toString("utf8");
    this.#left = 0;
    return cut;
  }
}
