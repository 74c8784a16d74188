import { spawnSync } from "node:child_process";

/**
 * Runs a program to its end, and returns its standard output. Throws an error with the program's output if it fails.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): string {
  const ran = spawnSync(program, args, { ...options, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (ran.error !== undefined)
    throw new Error(
      `${program} cannot be run (${ran.error.message}); an image is built on Debian or Ubuntu with apt-get, dpkg, tar and npm`,
    );
  if (ran.status !== 0)
    throw new Error(`${program} ${args.join(" ")} failed:\n${ran.stderr.trim() || ran.stdout.trim()}`);
  return ran.stdout;
}
