import { errorCode, Http2ConnectionError } from "./constants.ts";

// RFC 7541, appendix B: the lengths of the codes of 0 to 255, and of EOS. The code is canonical, so the lengths define
// it.
const lengths = [
  "13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28",
  "6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10",
  "13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6",
  "15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28",
  "20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24",
  "22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23",
  "26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27",
  "20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26",
  "30",
].flatMap((line) => line.split(" ").map(Number));

const endOfString = 256;

function canonicalCodes(): Uint32Array {
  const order = lengths.map((_, symbol) => symbol).sort((a, b) => (lengths[a] ?? 0) - (lengths[b] ?? 0) || a - b);
  const codes = new Uint32Array(lengths.length);
  let code = 0;
  let previous = lengths[order[0] ?? 0] ?? 0;
  for (const symbol of order) {
    const length = lengths[symbol] ?? 0;
    code *= 2 ** (length - previous);
    previous = length;
    codes[symbol] = code;
    code += 1;
  }
  return codes;
}

const codes = canonicalCodes();

/**
 * A decoder that takes half a byte at a time. For each node of the tree and each half byte, it has the next node, and
 * the completed symbol if there is one.
 */
interface NibbleTable {
  readonly next: Int16Array;
  readonly symbol: Int16Array;
  /** Whether the input may end at this node: the padding is at most 7 bits, all ones. */
  readonly padding: Uint8Array;
}

interface TreeNode {
  readonly children: [number, number];
  symbol: number;
}

function tree(): readonly TreeNode[] {
  const nodes: TreeNode[] = [{ children: [-1, -1], symbol: -1 }];
  for (let symbol = 0; symbol <= endOfString; symbol += 1) {
    let at = 0;
    for (let bit = (lengths[symbol] ?? 0) - 1; bit >= 0; bit -= 1) {
      const side = ((codes[symbol] ?? 0) >>> bit) & 1 ? 1 : 0;
      const node = nodes[at] as TreeNode;
      if (node.children[side] < 0) {
        node.children[side] = nodes.length;
        nodes.push({ children: [-1, -1], symbol: -1 });
      }
      at = node.children[side];
    }
    (nodes[at] as TreeNode).symbol = symbol;
  }
  return nodes;
}

function nibbleTable(): NibbleTable {
  const nodes = tree();
  const next = new Int16Array(nodes.length * 16);
  const symbols = new Int16Array(nodes.length * 16).fill(-1);
  const padding = new Uint8Array(nodes.length);
  for (let start = 0; start < nodes.length; start += 1) {
    for (let nibble = 0; nibble < 16; nibble += 1) {
      let at = start;
      for (let bit = 3; bit >= 0 && at >= 0; bit -= 1) {
        at = nodes[at]?.children[(nibble >> bit) & 1 ? 1 : 0] ?? -1;
        const symbol = at < 0 ? -1 : (nodes[at]?.symbol ?? -1);
        if (symbol === endOfString) at = -1;
        else if (symbol >= 0) {
          symbols[start * 16 + nibble] = symbol;
          at = 0;
        }
      }
      next[start * 16 + nibble] = at;
    }
  }
  let ones = 0;
  for (let bits = 0; bits <= 7; bits += 1) {
    padding[ones] = 1;
    ones = nodes[ones]?.children[1] ?? 0;
  }
  return { next, symbol: symbols, padding };
}

const table = nibbleTable();
let scratch = Buffer.allocUnsafeSlow(4096);

/** Decodes the bytes [start, end) to a latin1 string. An invalid code or padding throws a COMPRESSION_ERROR. */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number): string {
  // The shortest code has 5 bits, so the text has at most twice as many characters as the code has bytes.
  if (scratch.length < (end - start) * 2) scratch = Buffer.allocUnsafeSlow((end - start) * 2);
  const { next, symbol } = table;
  let node = 0;
  let length = 0;
  for (let index = start; index < end; index += 1) {
    const byte = bytes[index] ?? 0;
    const high = node * 16 + (byte >> 4);
    const first = symbol[high] ?? -1;
    if (first >= 0) {
      scratch[length] = first;
      length += 1;
    }
    node = next[high] ?? -1;
    // After an invalid first half, the key is negative and finds nothing. So one check suffices for both halves.
    const low = node * 16 + (byte & 15);
    const second = symbol[low] ?? -1;
    if (second >= 0) {
      scratch[length] = second;
      length += 1;
    }
    node = next[low] ?? -1;
    if (node < 0)
      throw new Http2ConnectionError(errorCode.compressionError, "a header string has an invalid Huffman code");
  }
  if (table.padding[node] !== 1)
    throw new Http2ConnectionError(errorCode.compressionError, "a header string has an invalid Huffman padding");
  return scratch.toString("latin1", 0, length);
}

/** How many bytes {@link huffmanEncode} would write. */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index += 1) bits += lengths[text.charCodeAt(index) & 255] ?? 0;
  return Math.ceil(bits / 8);
}

/** Writes the code of a latin1 string at `offset`, where there must be enough room. Returns the offset after it. */
export function huffmanEncode(text: string, target: Uint8Array, offset: number): number {
  let accumulator = 0;
  let bits = 0;
  let at = offset;
  for (let index = 0; index < text.length; index += 1) {
    const symbol = text.charCodeAt(index) & 255;
    const length = lengths[symbol] ?? 0;
    // At most 7 bits wait and 30 more come. A double is exact for 37 bits.
    accumulator = accumulator * 2 ** length + (codes[symbol] ?? 0);
    bits += length;
    while (bits >= 8) {
      bits -= 8;
      const byte = Math.floor(accumulator / 2 ** bits);
      target[at] = byte;
      at += 1;
      accumulator -= byte * 2 ** bits;
    }
  }
  if (bits > 0) {
    target[at] = (accumulator << (8 - bits)) | ((1 << (8 - bits)) - 1);
    at += 1;
  }
  return at;
}
