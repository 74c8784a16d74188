import type { Command, Option } from "commander";
import { nearestName, userError } from "../base/index.ts";
import { commonFlags } from "./flags.ts";

/** Flags with a value that users may write before the verb. */
const earlyFlags = new Set([
  ...commonFlags.flatMap(({ short, long }) => [...(short === undefined ? [] : [short]), long.split(" ")[0] ?? ""]),
  "-o",
  "--output",
  "--proxy-admin-port",
]);

const knownEarly: ReadonlySet<string> = new Set([...earlyFlags, "-h", "--help", "--version"]);

/** The words that are neither flags nor values of early flags. The value of any other flag stays among them. */
export function wordsOf(args: readonly string[]): readonly string[] {
  return args.filter((word, index) => !word.startsWith("-") && !earlyFlags.has(args[index - 1] ?? ""));
}

/**
 * Rewrites a command line for the parser: moves flags that come before the last verb to a place after it (`-n foo pc
 * cluster`), turns `--flag=false` into the negated flag, and `-o=json` into `-ojson`.
 */
export function arrangeArguments(program: Command, args: readonly string[]): string[] {
  const path: string[] = [];
  const held: string[] = [];
  let command = program;
  let index = 0;
  for (; index < args.length && command.commands.length > 0; index += 1) {
    const word = args[index] ?? "";
    if (word === "--") break;
    if (word.startsWith("-")) {
      held.push(word);
      const value = args[index + 1];
      if (earlyFlags.has(word)) {
        if (value === undefined) throw valueless(program, path, word);
        held.push(value);
        index += 1;
      } else if (command.options.some(({ long, short, required }) => required && (long === word || short === word))) {
        // The next word is the flag's value, even if it is also the name of a verb.
        held.pop();
        break;
      }
      continue;
    }
    const next = command.commands.find((child) => child.name() === word || child.aliases().includes(word));
    if (next === undefined) {
      if (hasAction(command) && command.registeredArguments.length === 0) throw unknownVerb(command, path, word);
      // With --help, the parser would show the group's help, and the misspelled verb would go unnoticed.
      if (!hasAction(command) && word !== "help") return [...path, word];
      break;
    }
    path.push(word);
    command = next;
  }
  if (command === program && held.includes("--version")) return ["--version"];
  // A group without a verb shows its help, even if there are flags. The parser reports an unknown flag.
  if (index >= args.length && command.commands.length > 0 && !hasAction(command)) {
    const unknown = held.find((word) => word.startsWith("-") && !isKnownEarly(word));
    return [...path, unknown ?? "--help"];
  }
  return [...path, ...arrangeFlags(command, [...held, ...args.slice(index)])];
}

/**
 * The error for a line without a verb that ends with a flag whose value is missing. The group's help, which the parser
 * would show, does not say that a value is missing.
 */
function valueless(program: Command, path: readonly string[], flag: string): Error {
  return userError("argument-invalid", `the flag ${flag} needs a value, and a command behind it`, {
    hint: `${[program.name(), ...path].join(" ")} --help lists the commands`,
  });
}

/** Whether the flag may stand before a verb, with its value beside it or attached: `-nshop`, `--context=lab`. */
function isKnownEarly(word: string): boolean {
  const [flag = ""] = word.split("=");
  return knownEarly.has(flag) || (!flag.startsWith("--") && knownEarly.has(flag.slice(0, 2)));
}

/**
 * The error for an unknown verb of a group that also runs alone, such as `upgrade`. The parser's own error would only
 * say that there are too many words.
 */
function unknownVerb(command: Command, path: readonly string[], word: string): Error {
  const names = command.commands.map((child) => child.name());
  const near = nearestName(word, names);
  const group = path.join(" ");
  return userError(
    "argument-invalid",
    `"${group} ${word}" is not a command${near === undefined ? "" : `; did you mean "${group} ${near}"?`}`,
    { hint: `${group} takes ${names.join(", ")}, or no word at all` },
  );
}

export function hasAction(command: Command): boolean {
  return typeof Reflect.get(command, "_actionHandler") === "function";
}

function arrangeFlags(command: Command, words: readonly string[]): string[] {
  const end = words.indexOf("--");
  const flags = end === -1 ? words : words.slice(0, end);
  const kept = flags.filter((word, index) => !isWordOfSwitch(command, flags[index - 1], word));
  return [...kept.flatMap((word) => arrangeFlag(command, word)), ...(end === -1 ? [] : words.slice(end))];
}

/**
 * Whether a word is the `true` of `--wait true`, which may be left out. istioctl ignores any word after such a flag.
 * Here `--wait false` is an error, because its user wants the opposite of `--wait`.
 */
function isWordOfSwitch(command: Command, before: string | undefined, word: string): boolean {
  if (word !== "true" || command.registeredArguments.length > 0) return false;
  return command.options.some((option) => isSwitch(option) && (option.long === before || option.short === before));
}

function arrangeFlag({ options }: Command, word: string): string[] {
  const [, name = "", value = ""] = /^(-[^=]+)=(.*)$/.exec(word) ?? [];
  if (name === "") return [word];
  const option = options.find(({ long, short }) => long === name || short === name);
  if (option === undefined) return [word];
  if (!isSwitch(option)) return option.short === name ? [`${name}${value}`] : [word];
  if (value === "true") return [name];
  if (value !== "false") return [word];
  const negated = `--no-${(option.long ?? name).slice(2)}`;
  return options.some(({ long }) => long === negated) ? [negated] : [];
}

function isSwitch({ required, optional }: Option): boolean {
  return !required && !optional;
}
