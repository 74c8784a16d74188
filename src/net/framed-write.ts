import { KnownAddress } from "./known-address.ts";
import { libc, type Libc } from "./libc.ts";

/** A body that is written in pieces, each with a head in front of it. */
export interface FramedBytes {
  /** All heads, one after another. */
  readonly heads: Uint8Array;
  /** Where each head ends in `heads`. There is one head for each piece. */
  readonly headEnds: readonly number[];
  readonly body: Uint8Array;
  /** The length of every piece of the body except the last, which may be shorter. */
  readonly pieceBytes: number;
}

/**
 * The maximum number of pieces of a body. Larger bodies are left to libuv. The largest chunk of a read has at most 17
 * pieces, because every peer of HTTP/2 accepts frames of 16 KiB.
 */
const maxPieces = 64;
/** The size of an iovec in 32-bit words. It has an address and a length, of 8 bytes each. */
const wordsOfPart = 4;
const parts = new Uint32Array(2 * maxPieces * wordsOfPart);
const partBytes = new Uint8Array(parts.buffer);
const halfOfWord = 2 ** 32;

const headAddress = new KnownAddress();
const bodyAddress = new KnownAddress();

/** Null until it is needed for the first time. Undefined if this process cannot call libc. */
let functions: Libc | undefined | null = null;

/**
 * Writes to a non-blocking socket with one system call, without making an object for each part. Node's own `writev`
 * takes an array of buffers, and making and reading them costs a seventh of the write.
 *
 * Returns how many bytes the kernel has accepted. It is 0 if the kernel accepts none now, if the write failed, or if
 * libc cannot be called. The caller then writes the rest, and that write reports errors.
 */
export function writeFramedNow(fd: number, framed: FramedBytes): number {
  const { heads, headEnds, body, pieceBytes } = framed;
  if (headEnds.length > maxPieces) return 0;
  if (functions === null) functions = loadFunctions();
  if (functions === undefined) return 0;
  const headsAt = headAddress.of(heads);
  const bodyAt = bodyAddress.of(body);
  let headStart = 0;
  let word = 0;
  let start = 0;
  for (const headEnd of headEnds) {
    putPart(word, headsAt + headStart, headEnd - headStart);
    putPart(word + wordsOfPart, bodyAt + start, Math.min(pieceBytes, body.length - start));
    headStart = headEnd;
    start += pieceBytes;
    word += 2 * wordsOfPart;
  }
  return Math.max(0, functions.writev(fd, partBytes, word / wordsOfPart));
}

/** The parts after the first `written` bytes. */
export function partsAfter(framed: FramedBytes, written: number): Uint8Array[] {
  const { heads, headEnds, body, pieceBytes } = framed;
  const left: Uint8Array[] = [];
  let skip = written;
  const add = (part: Uint8Array): void => {
    if (part.length > skip) left.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  };
  for (const [piece, headEnd] of headEnds.entries()) {
    add(heads.subarray(headEnds[piece - 1] ?? 0, headEnd));
    add(body.subarray(piece * pieceBytes, (piece + 1) * pieceBytes));
  }
  return left;
}

/** Writes an iovec, in little-endian order as on every processor that Serin runs on. */
function putPart(word: number, address: number, length: number): void {
  parts[word] = address % halfOfWord;
  parts[word + 1] = Math.floor(address / halfOfWord);
  parts[word + 2] = length;
}

function loadFunctions(): Libc | undefined {
  try {
    return libc();
  } catch {
    return undefined;
  }
}
