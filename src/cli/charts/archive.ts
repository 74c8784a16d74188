import { gzipSync } from "node:zlib";
import { tarEnd, tarHeader, tarPadding } from "../tar-header.ts";

/** Makes a gzipped tar of text files. The same files in the same order always give the same bytes. */
export function archiveOf(files: ReadonlyMap<string, string>): Buffer {
  const blocks: Buffer[] = [];
  for (const [path, text] of files) {
    const content = Buffer.from(text);
    blocks.push(
      tarHeader({ path, sizeBytes: content.length, modifiedSeconds: 0 }),
      content,
      tarPadding(content.length),
    );
  }
  blocks.push(tarEnd);
  return gzipSync(Buffer.concat(blocks), { level: 9 });
}
