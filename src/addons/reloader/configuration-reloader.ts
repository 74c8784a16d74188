import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";

export interface ConfigurationReloaderOptions {
  readonly directory: string;
  readonly reloadUrl: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * How often the files are read. A watch of a file would miss changes, because Kubernetes updates a mounted ConfigMap by
 * renaming a link.
 */
const pollMs = 5_000;
const requestTimeoutMs = 10_000;

/** Requests a reload whenever a file in the directory has changed, until the signal aborts. */
export async function watchConfiguration(
  { directory, reloadUrl, clock, log }: ConfigurationReloaderOptions,
  signal: AbortSignal,
): Promise<void> {
  let loaded = await contentsOf(directory);
  while (!signal.aborted) {
    await clock.sleep(pollMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const found = await contentsOf(directory);
      if (found === loaded) continue;
      const answer = await fetch(reloadUrl, {
        method: "POST",
        signal: AbortSignal.any([signal, AbortSignal.timeout(requestTimeoutMs)]),
      });
      if (!answer.ok)
        throw new Error(`${reloadUrl} answered ${answer.status}: ${(await answer.text()).trim().slice(0, 500)}`);
      loaded = found;
      log.info("reloaded", { directory });
    } catch (error) {
      log.warn("the reload failed; retrying", { error: messageOf(error) });
    }
  }
}

async function contentsOf(directory: string): Promise<string> {
  const hash = createHash("sha256");
  for (const entry of (await readdir(directory, { withFileTypes: true })).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    if (entry.name.startsWith("..") || entry.isDirectory()) continue;
    hash.update(`${entry.name}\0`).update(await readFile(join(directory, entry.name)));
  }
  return hash.digest("hex");
}
