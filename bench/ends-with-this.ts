/**
 * The program and arguments of a process that the kernel ends with this one, however this one ends. Pass them to `spawn`.
 */
export function endsWithThis(...command: readonly string[]): [program: string, args: string[]] {
  return ["setpriv", ["--pdeathsig", "KILL", ...command]];
}
