import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { transientError, userError, onAbort, type Environment } from "../../base/index.ts";

/** How to start one program of a release: further arguments come after `args`. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

export interface ChildOptions {
  readonly env: Environment;
  /** The limit of Node.js' heap. Other programs ignore it. */
  readonly maxHeapMegabytes: number;
  readonly signal: AbortSignal;
}

export interface ChildResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The maximum size of a program's output. All CRDs together have about a megabyte. */
const maxOutputBytes = 64 << 20;
/** Milliseconds between SIGTERM and SIGKILL. */
const endMs = 2000;

/** Starts a program. Ends it when the signal aborts. */
export function startChild(
  { command, args }: Program,
  more: readonly string[],
  { env, maxHeapMegabytes, signal }: ChildOptions,
): ChildProcess {
  signal.throwIfAborted();
  const options = `${env["NODE_OPTIONS"] ?? ""} --max-old-space-size=${maxHeapMegabytes}`.trim();
  const child = spawn(command, [...args, ...more], {
    env: { ...env, NODE_OPTIONS: options },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const abort = onAbort(signal, () => endChild(child));
  child.once("close", () => abort[Symbol.dispose]());
  // Without a listener, an `error` would end this process. Callers wait for `close`, or listen for `error` themselves.
  child.on("error", () => undefined);
  return child;
}

/** Sends SIGTERM to the process, and SIGKILL if it is still there after {@link endMs}. */
export function endChild(child: ChildProcess): void {
  if (isOver(child)) return;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), endMs);
  child.once("close", () => clearTimeout(timer));
}

/** Ends the process as {@link endChild} does, and resolves when it has ended. */
export async function endChildAndWait(child: ChildProcess): Promise<void> {
  if (isOver(child)) return;
  const closed = once(child, "close");
  endChild(child);
  await closed;
}

export function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/**
 * Runs a program to its end. Returns its output even if its exit code reports a failure. Throws if the program does not
 * start, prints too much or takes too long.
 */
export async function runChild(
  program: Program,
  args: readonly string[],
  options: ChildOptions & { readonly timeoutMs: number },
): Promise<ChildResult> {
  const limit = AbortSignal.timeout(options.timeoutMs);
  const child = startChild(program, args, { ...options, signal: AbortSignal.any([options.signal, limit]) });
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  let bytes = 0;
  const collect =
    (into: Buffer[]) =>
    (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > maxOutputBytes) endChild(child);
      else into.push(chunk);
    };
  child.stdout?.on("data", collect(output.stdout));
  child.stderr?.on("data", collect(output.stderr));
  const shownCommand = `${program.command} ${[...program.args, ...args].slice(-6).join(" ")}`;
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", (error) =>
      reject(
        userError("release-failed", `cannot run ${shownCommand}: ${error.message}`, {
          cause: error,
          hint: "check that it is a release for this machine, and executable",
        }),
      ),
    );
    child.once("close", (status) => resolve(status ?? -1));
  });
  options.signal.throwIfAborted();
  if (limit.aborted)
    throw transientError(
      "release-failed",
      `${shownCommand} took longer than ${options.timeoutMs / 1000} s and was killed`,
    );
  if (bytes > maxOutputBytes)
    throw transientError(
      "release-failed",
      `${shownCommand} printed more than ${maxOutputBytes >> 20} MiB and was killed`,
    );
  return {
    code,
    stdout: Buffer.concat(output.stdout).toString("utf8"),
    stderr: Buffer.concat(output.stderr).toString("utf8"),
  };
}
