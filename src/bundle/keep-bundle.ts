import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

export interface KeepBundleOptions {
  readonly directory: string;
  /** The bundle's name, which identifies the state of the sources. */
  readonly key: string;
  readonly write: (directory: string) => Promise<void>;
  readonly nowMs: number;
}

/** How many older bundles are kept, because labs may still run from them. Each takes 17 MB. */
const maxFormerBundles = 3;
/** A bundle that is unfinished after this time counts as abandoned. */
const unfinishedMs = 10 * 60_000;
const unfinishedMark = ".unfinished-";
const failedEnding = ".failed";

/**
 * Makes a bundle unless it exists, and removes old ones. The finished bundle appears by one rename, so several
 * processes may call this at the same time. A failure leaves a file with its reason, so that no process tries again
 * with the same sources.
 */
export async function keepBundle({ directory, key, write, nowMs }: KeepBundleOptions): Promise<void> {
  const target = join(directory, key);
  if (existsSync(target)) return;
  const unfinished = join(directory, `${unfinishedMark}${key}-${process.pid}`);
  try {
    mkdirSync(unfinished, { recursive: true });
    await write(unfinished);
    renameSync(unfinished, target);
  } catch (error) {
    if (!existsSync(target)) {
      writeFileSync(`${target}${failedEnding}`, `${error instanceof Error ? error.message : String(error)}\n`);
      throw error;
    }
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  removeOld(directory, key, nowMs);
}

function removeOld(directory: string, key: string, nowMs: number): void {
  const ageMs = (name: string): number =>
    nowMs - (statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs ?? 0);
  const names = readdirSync(directory).filter((name) => name !== key);
  const remove = (name: string): void => rmSync(join(directory, name), { recursive: true, force: true });
  for (const name of names) {
    if (name.startsWith(unfinishedMark) ? ageMs(name) > unfinishedMs : name.endsWith(failedEnding)) remove(name);
  }
  const former = names
    .filter((name) => /^[0-9a-f]+$/.test(name))
    .map((name) => ({ name, age: ageMs(name) }))
    .toSorted((left, right) => left.age - right.age);
  const commands = former.length > maxFormerBundles ? commandLines() : "";
  for (const { name } of former.slice(maxFormerBundles)) if (!commands.includes(name)) remove(name);
}

/** The command lines of all processes, which show the bundles that they run from. */
function commandLines(): string {
  return globSync("/proc/[0-9]*/cmdline").map(readIfThere).join("\n");
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
