import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildContainerRoot, plainRoot, type ContainerRootOptions } from "../container-root.ts";

/**
 * Builds a small plain root, with these options instead of the defaults. Returns a descriptor of its mount namespace.
 */
export function buildTestRoot(options: Partial<ContainerRootOptions> = {}): number {
  return buildContainerRoot({
    workDirectory: mkdtempSync(join(tmpdir(), "serin-root-")),
    sizeMb: 16,
    ...plainRoot,
    ...options,
  });
}
