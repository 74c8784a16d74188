import { invariant } from "../base/index.ts";

export const tarBlockBytes = 512;
/** The maximum lengths of the two fields that hold a path. */
const maxNameBytes = 100;
const maxPrefixBytes = 155;
const noBytes = Buffer.alloc(0);

export interface TarEntry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedSeconds: number;
}

/** The header of a regular, world-readable file in a tar (POSIX ustar). */
export function tarHeader({ path, sizeBytes, modifiedSeconds }: TarEntry): Buffer {
  const { prefix, name } = splitPath(path);
  const block = Buffer.alloc(tarBlockBytes);
  const write = (text: string, offset: number): void => void block.write(text, offset, "latin1");
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, "0")}\0`;
  invariant(sizeBytes < 8 ** 11, `a file in a tar must be smaller than 8 GiB: ${path}`);
  name.copy(block, 0);
  write(octal(0o644, 8), 100);
  write(octal(0, 8), 108);
  write(octal(0, 8), 116);
  write(octal(sizeBytes, 12), 124);
  write(octal(modifiedSeconds, 12), 136);
  // The checksum counts its own field as blanks.
  write(" ".repeat(8), 148);
  write("0", 156);
  write("ustar\u000000", 257);
  prefix.copy(block, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** The zeros that fill the last block of a file. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes);
}

/** Two blocks of zeros end an archive. */
export const tarEnd: Buffer = Buffer.alloc(2 * tarBlockBytes);

/**
 * Splits a path into the two fields of a header, at a slash. A path that does not fit loses bytes: the end of a long
 * prefix, or the beginning of a path whose last part alone is too long.
 */
function splitPath(path: string): { readonly prefix: Buffer; readonly name: Buffer } {
  const bytes = Buffer.from(path);
  if (bytes.length <= maxNameBytes) return { prefix: noBytes, name: bytes };
  const slash = bytes.indexOf("/", bytes.length - maxNameBytes - 1);
  if (slash === -1) return { prefix: noBytes, name: bytes.subarray(-maxNameBytes) };
  return { prefix: bytes.subarray(0, Math.min(slash, maxPrefixBytes)), name: bytes.subarray(slash + 1) };
}
