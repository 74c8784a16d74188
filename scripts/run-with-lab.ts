// Runs commands that start labs. Nothing that they started stays behind, however this process ends.
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Kills the command and everything it started when this process ends. */
export const ownProcesses = ["--kill-child=KILL", "--mount-proc"];

/** A process namespace, so that a lab's daemons end with the process that created it. */
export const labNamespaces =
  process.getuid?.() === 0
    ? ["unshare", "-mpf", ...ownProcesses]
    : ["unshare", "-U", "--map-current-user", "-mpf", ...ownProcesses];

/**
 * Wraps the command so that it ends with this process. The shell stays as the namespace's first process, because it
 * must reap the daemons that the command leaves.
 */
export function withinNamespaces(
  namespaces: readonly string[],
  command: readonly string[],
  inner = '"$0" "$@"; exit $?',
): string[] {
  return ["setpriv", "--pdeathsig", "KILL", ...namespaces, "sh", "-c", inner, ...command];
}

/** Makes a directory for a run's files. Its name is short, because a socket's path may have only 107 characters. */
export function makeScratch(): string {
  const scratch = mkdtempSync(join(tmpdir(), "st-"));
  chmodSync(scratch, 0o755);
  return scratch;
}

/**
 * Runs a command that starts labs, and returns its exit code. A signal to this process ends the command and removes its
 * files.
 */
export async function runWithLab(command: readonly string[]): Promise<number> {
  const scratch = makeScratch();
  const [program = "", ...args] = withinNamespaces(labNamespaces, command);
  const child = spawn(program, args, { env: { ...process.env, TMPDIR: scratch }, stdio: "inherit", detached: true });
  const endAll = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The processes have ended already.
    }
    rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      process.stdout.write(`ended by ${signal}\n`);
      endAll();
      process.exit(1);
    });
  }
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (ended) => resolve(ended ?? 1));
  });
  endAll();
  return code;
}
