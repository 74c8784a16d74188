import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { MachineBounds } from "./worker-count.ts";

/** Node raises its limit of open files to the hard one when it starts. */
export async function machineBounds(): Promise<MachineBounds> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  const files = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return { cores: availableParallelism(), maxDescriptors: files === undefined ? Infinity : Number(files) };
}
