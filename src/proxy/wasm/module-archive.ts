import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { maxArchiveDepth, maxModuleBytes } from "./limits.ts";

const blockBytes = 512;
const gzipMark = Buffer.from([0x1f, 0x8b]);
const tarMark = "ustar";
const tarMarkAt = 257;
/** Decompresses gzip outside of the serving thread. */
const gunzipped = promisify(gunzip);

export async function unzip(bytes: Uint8Array): Promise<Buffer> {
  return await gunzipped(bytes, { maxOutputLength: maxModuleBytes });
}

/** Finds the first file of a tar archive that the predicate chooses. */
export function fileOf(archive: Buffer, isWanted: (path: string) => boolean): Buffer | undefined {
  for (let at = 0; at + blockBytes <= archive.length;) {
    const path = archive.toString("latin1", at, at + 100).replace(/\0.*$/s, "");
    const size = sizeAt(archive, at);
    if (size === undefined) return undefined;
    const start = at + blockBytes;
    if (isWanted(path) && start + size <= archive.length) return archive.subarray(start, start + size);
    at = start + Math.ceil(size / blockBytes) * blockBytes;
  }
  return undefined;
}

/**
 * The size in the header of a file, as octal digits. Undefined for any other text: a negative number would send the
 * reader back to an earlier file again and again.
 */
function sizeAt(archive: Buffer, header: number): number | undefined {
  const [, digits] = /^ *([0-7]*)[ \0]*$/.exec(archive.toString("latin1", header + 124, header + 136)) ?? [];
  return digits === undefined ? undefined : Number.parseInt(digits, 8) || 0;
}

/** Extracts a module from what a server stores: gzip, a tar archive whose first file is the module, or both. */
export async function unboxed(bytes: Buffer): Promise<Buffer> {
  let inner = bytes;
  for (let depth = 0; depth < maxArchiveDepth; depth += 1) {
    if (inner.subarray(0, 2).equals(gzipMark)) inner = await unzip(inner);
    else if (inner.toString("latin1", tarMarkAt, tarMarkAt + tarMark.length) === tarMark)
      inner = fileOf(inner, (path) => path !== "") ?? inner;
    else break;
  }
  return inner;
}
