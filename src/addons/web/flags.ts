/** Flags as programs in Go take them: `-name=value`, `--name value`, or a name alone, which is `true`. The last of a name wins. */
export function readFlags(args: readonly string[]): ReadonlyMap<string, string> {
  const flags = new Map<string, string>();
  for (const [index, arg] of args.entries()) {
    const [, name, , value] = /^--?([^=]+)(=([\s\S]*))?$/.exec(arg) ?? [];
    if (name === undefined) continue;
    const next = args[index + 1];
    flags.set(name, value ?? (next === undefined || next.startsWith("-") ? "true" : next));
  }
  return flags;
}
