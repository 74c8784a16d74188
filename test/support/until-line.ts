// Waits for a state of an object by a watch of kubectl. Polling by kubectl would take a third of a core.
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { LabCluster } from "./lab-cluster.ts";

export interface AwaitedLine {
  /** Named in the error. */
  readonly condition: string;
  /** `kubectl get …`. With `-w`, which is added, it prints a line for each state of the object. */
  readonly command: readonly string[];
  readonly timeoutMs: number;
  /** A watch begins again after this time. Only tests of this function set it. */
  readonly watchMs?: number;
}

/** The pause before a watch that has ended begins again. */
const againMs = 300;
/**
 * A watch begins again after this time. `kubectl get NAME -w` reads the object, and does not print the first event of
 * the watch that it starts afterwards. So it never prints a change that comes between the two requests.
 */
const defaultWatchMs = 20_000;

/** Resolves to the first line that is accepted. Rejects at once if `accepts` throws. */
export async function untilLine(
  lab: Pick<LabCluster, "spawnInShell">,
  { condition, command, timeoutMs, watchMs = defaultWatchMs }: AwaitedLine,
  accepts: (line: string) => boolean,
): Promise<string> {
  const limit = AbortSignal.timeout(timeoutMs);
  let last = "";
  while (!limit.aborted) {
    const child = lab.spawnInShell([...command, "-w"]);
    try {
      const turn = AbortSignal.any([limit, AbortSignal.timeout(watchMs)]);
      const accepted = await firstAccepted(child, turn, (line) => accepts((last = line)));
      if (accepted !== undefined) return accepted;
    } finally {
      child.kill("SIGTERM");
    }
    await delay(againMs);
  }
  return assert.fail(`${condition}: not so after ${timeoutMs / 1000} s: ${last}`);
}

/** Undefined if the watch or the time has ended before a line was accepted. */
async function firstAccepted(
  { stdout, stderr }: ChildProcess,
  signal: AbortSignal,
  accepts: (line: string) => boolean,
): Promise<string | undefined> {
  assert.ok(stdout !== null);
  stderr?.resume();
  const lines = createInterface({ input: stdout, signal });
  for await (const line of lines) if (accepts(line)) return line;
  return undefined;
}
