import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { createGzip, type Gzip } from "node:zlib";

const blockBytes = 512;
const maxNameBytes = 100;
const maxPrefixBytes = 155;

/** A gzipped tar (POSIX ustar) that is written file by file, so that no more than one is in memory. */
export class ArchiveWriter implements AsyncDisposable {
  readonly #gzip: Gzip;
  readonly #done: Promise<void>;
  readonly #modifiedSeconds: number;

  constructor(path: string, nowMs: number) {
    this.#gzip = createGzip();
    const file = createWriteStream(path);
    this.#done = finished(this.#gzip.pipe(file));
    // What fails is told to who writes or ends.
    this.#done.catch(() => undefined);
    this.#modifiedSeconds = Math.floor(nowMs / 1000);
  }

  async add(path: string, text: string): Promise<void> {
    const content = Buffer.from(text);
    const padding = Buffer.alloc((blockBytes - (content.length % blockBytes)) % blockBytes);
    if (!this.#gzip.write(Buffer.concat([header(path, content.length, this.#modifiedSeconds), content, padding])))
      await Promise.race([once(this.#gzip, "drain"), this.#done]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gzip.end(Buffer.alloc(2 * blockBytes));
    await this.#done;
  }
}

function header(path: string, size: number, modifiedSeconds: number): Buffer {
  const { prefix, name } = splitPath(path);
  const block = Buffer.alloc(blockBytes);
  const write = (text: string, offset: number): void => void block.write(text, offset, "latin1");
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, "0")}\0`;
  block.write(name, 0);
  write(octal(0o644, 8), 100);
  write(octal(0, 8), 108);
  write(octal(0, 8), 116);
  write(octal(size, 12), 124);
  write(octal(modifiedSeconds, 12), 136);
  // The checksum counts its own field as blanks.
  write(" ".repeat(8), 148);
  write("0", 156);
  write("ustar\u000000", 257);
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** The path in the two fields of a header; what fits in neither is cut, which a file's name survives. */
function splitPath(path: string): { readonly prefix: string; readonly name: string } {
  if (Buffer.byteLength(path) <= maxNameBytes) return { prefix: "", name: path };
  const slash = path.indexOf("/", path.length - maxNameBytes - 1);
  if (slash === -1) return { prefix: "", name: path.slice(-maxNameBytes) };
  return { prefix: path.slice(0, slash).slice(0, maxPrefixBytes), name: path.slice(slash + 1) };
}
