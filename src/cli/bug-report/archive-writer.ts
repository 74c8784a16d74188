import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { createGzip, type Gzip } from "node:zlib";
import { tarEnd, tarHeader, tarPadding } from "../tar-header.ts";

/** Only its owner can read an archive, because it holds objects and logs of the whole mesh. */
const ownersFile = 0o600;

/** Writes a gzipped tar file by file, so that only one file is in memory. */
export class ArchiveWriter implements AsyncDisposable {
  readonly #gzip: Gzip;
  readonly #done: Promise<void>;
  readonly #modifiedSeconds: number;

  constructor(path: string, nowMs: number) {
    this.#gzip = createGzip();
    const file = createWriteStream(path, { mode: ownersFile });
    this.#done = finished(this.#gzip.pipe(file));
    // The calls of write and end report the error.
    this.#done.catch(() => undefined);
    this.#modifiedSeconds = Math.floor(nowMs / 1000);
  }

  async add(path: string, text: string): Promise<void> {
    const content = Buffer.from(text);
    const header = tarHeader({ path, sizeBytes: content.length, modifiedSeconds: this.#modifiedSeconds });
    if (!this.#gzip.write(Buffer.concat([header, content, tarPadding(content.length)])))
      await Promise.race([once(this.#gzip, "drain"), this.#done]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gzip.end(tarEnd);
    await this.#done;
  }
}
