import { parseArgs, type ParseArgsConfig } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;
type Parsed<Chosen extends Options> = ReturnType<
  typeof parseArgs<{ readonly options: Chosen; readonly allowPositionals: true }>
>;

export interface ScriptUsage {
  /** The command that starts the script, such as `npm run image --`. */
  readonly command: string;
  /** The names of positional arguments, such as `[TARGET …]`. If absent, the script takes none. */
  readonly positionals?: string;
  /** A line of help for each option, by the option's name, or the whole usage as one text. */
  readonly help: Readonly<Record<string, string>> | string;
}

/**
 * Parses a script's arguments. `--help` prints the usage and ends the process with exit code 0. An invalid argument
 * prints the fault and the usage, and ends it with exit code 2.
 */
export function scriptArguments<const Chosen extends Options>(
  usage: ScriptUsage,
  options: Chosen,
  args: readonly string[] = process.argv.slice(2),
): Parsed<Chosen> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(usageText(usage, options));
    process.exit(0);
  }
  try {
    const parsed = parseArgs({ args: [...args], options, allowPositionals: true });
    const [first] = parsed.positionals;
    if (first !== undefined && usage.positionals === undefined) throw new Error(`Unexpected argument '${first}'`);
    return parsed;
  } catch (error) {
    process.stderr.write(`${faultOf(error)}\n\n${usageText(usage, options)}`);
    process.exit(2);
  }
}

/**
 * Returns the line of usage, and every option with its help and default, in the order of their definition. If `help` is
 * one text, returns that text.
 */
export function usageText({ command, positionals, help }: ScriptUsage, options: Options): string {
  if (typeof help === "string") return help;
  const rows = Object.entries(options).map(([name, { type, default: preset }]) => {
    const value = type === "boolean" ? "" : " VALUE";
    const given = typeof preset === "string" && preset !== "" ? ` (default: ${preset})` : "";
    return [`--${name}${value}`, `${help[name] ?? ""}${given}`] as const;
  });
  const width = Math.max(...rows.map(([option]) => option.length));
  const lines = rows.map(([option, text]) => `  ${option.padEnd(width)}  ${text}`.trimEnd());
  return [`usage: ${command} [OPTIONS]${positionals === undefined ? "" : ` ${positionals}`}`, ...lines, ""].join("\n");
}

/**
 * Returns the first sentence of Node's message. Its other sentences explain how to pass such a value as a positional
 * argument.
 */
function faultOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split(/\. (?=To )/)[0] ?? message;
}
