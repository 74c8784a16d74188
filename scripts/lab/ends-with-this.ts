const program = "setpriv";
const flags = ["--pdeathsig", "KILL"] as const;

/**
 * Returns the program and arguments, for `spawn`, of a process that the kernel kills when this process ends for any
 * reason.
 */
export function endsWithThis(...command: readonly string[]): [program: string, args: string[]] {
  return [program, [...flags, ...command]];
}

/** Returns the same as {@link endsWithThis}, as words of one command line. */
export function wordsThatEndWithThis(...command: readonly string[]): string[] {
  return [program, ...flags, ...command];
}
