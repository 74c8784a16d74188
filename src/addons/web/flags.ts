import { userError } from "../../base/index.ts";

/**
 * Parses flags as Go programs do: `-name=value`, `--name value`, or `--name` for `true`. The last one of a name counts.
 */
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

/** Parses a flag's value `host:port`. An empty host means all addresses. */
export function listenAddress(flag: string, address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(":");
  const port = Number(address.slice(at + 1));
  if (at === -1 || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw userError("argument-invalid", `--${flag}: expected host:port, got "${address}"`);
  const host = address.slice(0, at).replaceAll(/[[\]]/g, "");
  return { host: host === "0.0.0.0" ? "" : host, port };
}
