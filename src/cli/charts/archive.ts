import { gzipSync } from "node:zlib";
import { invariant } from "../../base/index.ts";

const blockBytes = 512;

/** A gzipped tar (POSIX ustar) of text files, the same bytes for the same files. */
export function archiveOf(files: ReadonlyMap<string, string>): Buffer {
  const blocks: Buffer[] = [];
  for (const [path, text] of files) {
    const content = Buffer.from(text);
    blocks.push(
      headerOf(path, content.length),
      content,
      Buffer.alloc((blockBytes - (content.length % blockBytes)) % blockBytes),
    );
  }
  blocks.push(Buffer.alloc(2 * blockBytes));
  return gzipSync(Buffer.concat(blocks), { level: 9 });
}

function headerOf(path: string, size: number): Buffer {
  const longest = 100;
  invariant(Buffer.byteLength(path) <= longest, `a path in a chart has at most ${longest} bytes: ${path}`);
  const header = Buffer.alloc(blockBytes);
  const write = (text: string, offset: number): void => void header.write(text, offset, "latin1");
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, "0")}\0`;
  header.write(path, 0);
  write(octal(0o644, 8), 100);
  write(octal(0, 8), 108);
  write(octal(0, 8), 116);
  write(octal(size, 12), 124);
  write(octal(0, 12), 136);
  // The checksum counts its own field as blanks.
  write(" ".repeat(8), 148);
  write("0", 156);
  write("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}
