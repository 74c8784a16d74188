import { numberOption } from "./number-option.ts";
import { scriptArguments } from "./script-arguments.ts";

type Default = number | boolean | string;
type Options<Defaults extends Readonly<Record<string, Default>>> = {
  readonly [Name in keyof Defaults]: Defaults[Name] extends number
    ? number
    : Defaults[Name] extends boolean
      ? boolean
      : string;
};

/**
 * Parses the options of a bench, which are named with their defaults. A number must be above 0. `--help` prints the
 * usage. An invalid option ends the process with exit code 2 and a message that names the option.
 */
export function benchOptions<const Defaults extends Readonly<Record<string, Default>>>(
  command: string,
  defaults: Defaults,
  args: readonly string[] = process.argv.slice(2),
): Options<Defaults> {
  const entries = Object.entries(defaults);
  const { values } = scriptArguments(
    { command, help: Object.fromEntries(entries.map(([name, value]) => [name, describe(value)])) },
    Object.fromEntries(
      entries.map(([name, value]) => [
        name,
        typeof value === "boolean" ? ({ type: "boolean" } as const) : ({ type: "string" } as const),
      ]),
    ),
    args,
  );
  const chosen = entries.map(([name, preset]) => {
    const given = values[name];
    if (given === undefined || typeof given === "boolean") return [name, given ?? preset];
    return [name, typeof preset === "number" ? numberOption(`--${name}`, given) : given];
  });
  return Object.fromEntries(chosen) as Options<Defaults>;
}

function describe(value: Default): string {
  return typeof value === "boolean" || value === "" ? "" : `(default: ${value})`;
}
