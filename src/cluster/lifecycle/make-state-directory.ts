import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Creates a cluster's directory, which only its owner can open: it contains keys, and every object with all Secrets.
 * The directories above it stay open, because the user of a root user's lab must reach it. Fails with EEXIST if it
 * exists.
 */
export function makeStateDirectory(directory: string): void {
  mkdirSync(dirname(directory), { recursive: true, mode: 0o755 });
  mkdirSync(directory, { mode: 0o700 });
  chmodSync(directory, 0o700);
}
