import { rename, rm, writeFile } from "node:fs/promises";

/** Readers see the whole old text or the whole new text. */
export async function replaceFile(path: string, text: string, mode = 0o644): Promise<void> {
  const temporary = `${path}.new`;
  // The mode counts only for a new file.
  await rm(temporary, { force: true });
  await writeFile(temporary, text, { mode });
  await rename(temporary, path);
}
