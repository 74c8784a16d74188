// Whatever ends a process that starts labs, nothing that it has started stays behind.
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Ends its command when this process is gone, and all that the command has started with it. */
export const ownProcesses = ["--kill-child=KILL", "--mount-proc"];

/** A process namespace: the daemons of a lab end with the process that made it. */
export const labNamespaces =
  process.getuid?.() === 0
    ? ["unshare", "-mpf", ...ownProcesses]
    : ["unshare", "-U", "--map-current-user", "-mpf", ...ownProcesses];

/** The command as the one that this process ends with it. The shell stays, as the namespace's first process: it reaps the daemons that the command leaves to it. */
export function withinNamespaces(
  namespaces: readonly string[],
  command: readonly string[],
  inner = '"$0" "$@"; exit $?',
): string[] {
  return ["setpriv", "--pdeathsig", "KILL", ...namespaces, "sh", "-c", inner, ...command];
}

/** Directory for a run's files. A short name: the paths of sockets below it may have 107 characters. */
export function makeScratch(): string {
  const scratch = mkdtempSync(join(tmpdir(), "st-"));
  chmodSync(scratch, 0o755);
  return scratch;
}

/** Runs a command that starts labs; answers its exit code. A signal to this process ends all of it, its files too. */
export async function runWithLab(command: readonly string[]): Promise<number> {
  const scratch = makeScratch();
  const [program = "", ...args] = withinNamespaces(labNamespaces, command);
  const child = spawn(program, args, { env: { ...process.env, TMPDIR: scratch }, stdio: "inherit", detached: true });
  const endAll = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // They have ended already.
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
