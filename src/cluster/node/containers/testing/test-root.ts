import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildContainerRoot, type ContainerRootOptions } from "../container-root.ts";

/** A small root without volumes, scripts and files of its own, except for the given options. */
export function buildTestRoot(options: Partial<ContainerRootOptions> = {}): number {
  return buildContainerRoot({
    workDirectory: mkdtempSync(join(tmpdir(), "serin-root-")),
    mounts: [],
    scripts: {},
    etcFiles: {},
    hostProc: false,
    workingDirectory: "/",
    readOnlyRoot: false,
    sizeMb: 16,
    ...options,
  });
}
