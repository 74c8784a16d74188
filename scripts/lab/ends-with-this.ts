const program = "setpriv";
const flags = ["--pdeathsig", "KILL"] as const;

/**
 * The program and arguments, for `spawn`, of a process that the kernel ends when this process ends, however that
 * happens.
 */
export function endsWithThis(...command: readonly string[]): [program: string, args: string[]] {
  return [program, [...flags, ...command]];
}

/** The same as words of one command line. */
export function wordsThatEndWithThis(...command: readonly string[]): string[] {
  return [program, ...flags, ...command];
}
