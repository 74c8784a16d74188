import { parseArgs, type ParseArgsConfig } from "node:util";
import { messageOf, nearestName, userError } from "../base/index.ts";

type Parsed<Config extends ParseArgsConfig> = ReturnType<typeof parseArgs<Config>>;

/**
 * Parses the flags of a command. The usage error names the unknown flag, and the similar one among `known` that the
 * user probably meant. By default, `known` has all flags in `config`. Node's own messages also explain how to pass a
 * word that looks like a flag, which no command here needs.
 */
export function readFlags<const Config extends ParseArgsConfig>(
  command: string,
  config: Config,
  known: readonly string[] = Object.keys(config.options ?? {}),
): Parsed<Config> {
  try {
    return parseArgs(config);
  } catch (error) {
    throw userError("usage", `${command}: ${reasonOf(error, known)}`, {
      hint: `serin ${command} --help shows the flags`,
    });
  }
}

function reasonOf(error: unknown, known: readonly string[]): string {
  const text = messageOf(error);
  const [, flag] = /^Unknown option '([^']+)'/.exec(text) ?? [];
  if (flag !== undefined) {
    const near = nearestName(flag.replace(/^-+/, ""), known);
    return `there is no flag ${flag}${near === undefined ? "" : `; did you mean --${near}?`}`;
  }
  const [, valueless] = /^Option '(?:-\w, )?(--[\w-]+) <value>' argument missing/.exec(text) ?? [];
  if (valueless !== undefined) return `the flag ${valueless} needs a value`;
  const [, ambiguous] = /^Option '(?:-\w, )?(--[\w-]+)' argument is ambiguous/.exec(text) ?? [];
  return ambiguous === undefined
    ? text
    : `the flag ${ambiguous} needs a value; write a value that begins with - as ${ambiguous}=-…`;
}
