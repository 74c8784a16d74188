import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Creates a cluster's directory, which only its owner can open: it contains keys and all objects, including Secrets.
 * Other users may pass through the directories above it, because the lab of a root user runs as another user and must
 * reach its directory. Fails with EEXIST if the directory exists.
 */
export function makeStateDirectory(directory: string): void {
  mkdirSync(dirname(directory), { recursive: true, mode: 0o755 });
  mkdirSync(directory, { mode: 0o700 });
  chmodSync(directory, 0o700);
}
