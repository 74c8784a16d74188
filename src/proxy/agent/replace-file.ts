import { rename, rm, writeFile } from "node:fs/promises";

/** Replaces a file's content. Readers see either the whole old text or the whole new text. */
export async function replaceFile(path: string, text: string, mode = 0o644): Promise<void> {
  const temporary = `${path}.new`;
  // Remove an old temporary file first, because `writeFile` sets the mode of a new file only.
  await rm(temporary, { force: true });
  await writeFile(temporary, text, { mode });
  await rename(temporary, path);
}
