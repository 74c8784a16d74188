import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** `file:///…/chunk.js:12:5` in a line of a stack. */
const place = /(file:\/\/[^\s()]+\.js):(\d+):(\d+)/g;

/**
 * An error's stack with positions in the sources, even if the process runs from a bundle. Use it only for errors that a
 * person sees, because it reads source maps, which takes tens of milliseconds.
 */
export function sourceStack(error: Error): string {
  const maps = new Map<string, SourceMap | undefined>();
  return (error.stack ?? error.message).replace(place, (found, url: string, line: string, column: string) => {
    const file = fileURLToPath(url);
    if (!maps.has(file)) maps.set(file, mapOf(file));
    const origin = maps.get(file)?.findEntry(Number(line) - 1, Number(column) - 1);
    if (origin === undefined || !("originalSource" in origin)) return found;
    return `${join(dirname(file), origin.originalSource)}:${origin.originalLine + 1}:${origin.originalColumn + 1}`;
  });
}

/**
 * The source map of a file. Undefined if there is none, or if it cannot be read: a process without free descriptors
 * must still report its error.
 */
function mapOf(file: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${file}.map`, "utf8")) as SourceMapPayload);
  } catch {
    return undefined;
  }
}
