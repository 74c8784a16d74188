import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { userError } from "../../base/index.ts";

const chunkBytes = 65_536;
/**
 * The maximum size of a certificate file. A bundle of all public roots has a few hundred kB, and revocation lists have
 * a few MB.
 */
const maxTextBytes = 16 << 20;

/**
 * Reads a file that the configuration names. A DestinationRule of any namespace can name a file for all sidecars, so an
 * endless device (`/dev/zero`) must not fill the memory, and a device that has nothing to read (`/dev/ptmx`) must not
 * block a thread.
 */
export async function readBoundedFile(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    if (!(await file.stat()).isFile())
      throw userError("file-invalid", `${path} is no regular file`, { hint: "name a file that the pod mounts" });
    return await contentOf(file, path, maxBytes);
  } finally {
    await file.close();
  }
}

/** Reads until the end of the file. The reported size does not suffice: it may be 0, and the file may grow. */
async function contentOf(file: FileHandle, path: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let total = 0; ;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes);
    if (bytesRead === 0) return Buffer.concat(chunks);
    total += bytesRead;
    if (total > maxBytes) throw userError("file-invalid", `${path} has more than ${maxBytes} bytes`);
    chunks.push(buffer.subarray(0, bytesRead));
  }
}

/** The first bytes of every revocation list in DER: the tag of a sequence, and a length with several bytes. */
const derStart = [0x30, 0x80] as const;

/**
 * Reads a certificate, a key, a root bundle or a revocation list. For a file in DER, each byte becomes one character,
 * so that `latin1` restores the bytes.
 */
export async function readCertificateFile(path: string): Promise<string> {
  const bytes = await readBoundedFile(path, maxTextBytes);
  const isDer = bytes[0] === derStart[0] && (bytes[1] ?? 0) > derStart[1];
  return bytes.toString(isDer ? "latin1" : "utf8");
}
