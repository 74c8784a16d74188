import { spawn, spawnSync, type ChildProcess } from "node:child_process";

export interface Ran {
  readonly code: number;
  /** Standard output and standard error, in the order in which they have come. */
  readonly output: string;
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 180_000;

export function runCommand(command: readonly string[]): string {
  const [program = "", ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 64 << 20 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command.join(" ")} ended with ${status}: ${stderr.trim()}`);
  return stdout;
}

/** Runs a command without blocking this process. Kills it at the time limit. */
export async function outcomeOf(
  command: readonly string[],
  { env, input, timeoutMs = defaultTimeoutMs }: CommandOptions = {},
): Promise<Ran> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  child.stdin?.end(input);
  return await endOf(child, timeoutMs);
}

async function endOf(child: ChildProcess, timeoutMs: number): Promise<Ran> {
  let output = "";
  const collect = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
  };
  child.stdout?.on("data", collect);
  child.stderr?.on("data", collect);
  const timer = setTimeout(() => {
    output += `\nkilled after ${timeoutMs / 1000} s`;
    child.kill("SIGKILL");
  }, timeoutMs);
  const code = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve(status ?? 137));
  });
  clearTimeout(timer);
  return { code, output };
}
