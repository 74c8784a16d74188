// Runs commands that start labs. When this process ends for any reason, all that the commands started is removed.
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wordsThatEndWithThis } from "./ends-with-this.ts";

/** Flags of `unshare`. With them, the command and everything it started are killed when this process ends. */
export const ownProcesses = ["--kill-child=KILL", "--mount-proc"];

/**
 * The command that starts another one in its own mount and process namespaces, so that a lab's daemons end with the
 * process that created the lab.
 */
export const labNamespaces =
  process.getuid?.() === 0
    ? ["unshare", "-mpf", ...ownProcesses]
    : ["unshare", "-U", "--map-current-user", "-mpf", ...ownProcesses];

/**
 * Wraps the command so that it ends with this process. The shell remains the namespace's first process, because it must
 * reap the daemons that the command leaves.
 */
export function withinNamespaces(
  namespaces: readonly string[],
  command: readonly string[],
  inner = '"$0" "$@"; exit $?',
): string[] {
  return wordsThatEndWithThis(...namespaces, "sh", "-c", inner, ...command);
}

/**
 * Makes a directory for a run's files. Its name is short, because the path of a Unix socket may have only 107
 * characters.
 */
export function makeScratch(): string {
  const scratch = mkdtempSync(join(tmpdir(), "st-"));
  chmodSync(scratch, 0o755);
  return scratch;
}

/** Removes the directory when this process ends, even if it is killed. */
function removeAtEnd(directory: string): void {
  const removal = 'cat >/dev/null; for turn in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$0" && exit; sleep 0.3; done';
  const janitor = spawn("sh", ["-c", removal, directory], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  janitor.on("error", () => undefined).unref();
}

export interface LabRunOptions {
  /** The shell's line that runs the command. In the line, `"$0" "$@"` stands for the command. */
  readonly inner?: string;
  /**
   * The time that the command has to end by itself after a signal, which closes its standard input. If absent, the
   * command is killed at once.
   */
  readonly graceMs?: number;
  /** The time after which the command ends in the same way as by a signal. */
  readonly limitMs?: number;
}

/**
 * Runs a command that starts labs, and returns its exit code. A signal to this process ends the command and removes its
 * files.
 */
export async function runWithLab(
  command: readonly string[],
  { inner, graceMs, limitMs }: LabRunOptions = {},
): Promise<number> {
  const scratch = makeScratch();
  removeAtEnd(scratch);
  const [program = "", ...args] = withinNamespaces(labNamespaces, command, inner);
  const child = spawn(program, args, {
    env: { ...process.env, TMPDIR: scratch },
    stdio: [graceMs === undefined ? "inherit" : "pipe", "inherit", "inherit"],
    detached: true,
  });
  const kill = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The processes have already ended.
    }
  };
  const timers: NodeJS.Timeout[] = [];
  let isInterrupted = false;
  const interrupt = (cause: string): void => {
    process.stdout.write(`ended by ${cause}\n`);
    isInterrupted = true;
    child.stdin?.end();
    if (graceMs === undefined) kill();
    else timers.push(setTimeout(kill, graceMs));
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupt(signal));
  if (limitMs !== undefined) timers.push(setTimeout(() => interrupt(`its time limit of ${limitMs / 1000} s`), limitMs));
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (ended) => resolve(ended ?? 1));
    });
    return isInterrupted ? 1 : code;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    kill();
    rmSync(scratch, { recursive: true, force: true, maxRetries: 3 });
  }
}

const startsLab = "SERIN_SCRIPT_STARTS_LAB";

/** Whether {@link runThisScriptWithLab} has started this process. */
export const isWithinLab = process.env[startsLab] === "1";

/** Runs the script of this process again, with its arguments, as {@link runWithLab} runs a command. */
export async function runThisScriptWithLab(): Promise<number> {
  const [, script = "", ...words] = process.argv;
  return await runWithLab(["env", `${startsLab}=1`, process.execPath, script, ...words]);
}
