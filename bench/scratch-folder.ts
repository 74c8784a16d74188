import { mkdtempSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";

const folders = new Set<string>();

/** Creates a folder outside of the checkout. See {@link deletedAtEnd}. */
export function scratchFolder(prefix = "serin-bench-"): string {
  return deletedAtEnd(mkdtempSync(join(tmpdir(), prefix)));
}

/** Returns the folder, which is deleted when this process ends, also by SIGINT or SIGTERM. */
export function deletedAtEnd(folder: string): string {
  if (folders.size === 0) {
    process.once("exit", () => {
      for (const each of folders) rmSync(each, { recursive: true, force: true });
    });
    // Without a handler, a signal ends the process without the event above.
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => process.exit(128 + constants.signals[signal]));
  }
  folders.add(folder);
  return folder;
}
