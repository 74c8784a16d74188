import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { createGzip, type Gzip } from "node:zlib";
import { userError } from "../../base/index.ts";
import { tarEnd, tarHeader, tarPadding } from "../tar-header.ts";
import { reasonOf } from "../user-file.ts";

/** The mode of an archive. Only its owner may read it, because it contains objects and logs of the whole mesh. */
const ownersFile = 0o600;

/**
 * Writes a gzipped tar archive file by file, so that only one file is in memory. It writes to a new file, which it
 * renames to the path at the end: an existing file would keep its owner and mode, and programs that have it open could
 * read the archive.
 */
export class ArchiveWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #partial: string;
  readonly #gzip: Gzip;
  readonly #done: Promise<void>;
  readonly #modifiedSeconds: number;

  constructor(path: string, nowMs: number) {
    this.#path = path;
    this.#partial = `${path}.${randomBytes(8).toString("hex")}`;
    this.#gzip = createGzip();
    const file = createWriteStream(this.#partial, { flags: "wx", mode: ownersFile });
    this.#done = finished(this.#gzip.pipe(file));
    // A later `add` or the disposal reports the error.
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
    try {
      await this.#done;
      await rename(this.#partial, this.#path);
    } catch (cause) {
      await rm(this.#partial, { force: true });
      throw userError("path-not-writable", `cannot write ${this.#path}: ${reasonOf(cause)}`, { cause });
    }
  }
}
