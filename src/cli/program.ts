import { Command, CommanderError, Help, Option } from "commander";
import { arrangeArguments, hasAction, wordsOf } from "./arguments.ts";
import { ownField, SerinError, shellWord, userError } from "../base/index.ts";
import type { CliContext } from "./context.ts";
import { addExamples, addFirstSteps } from "./examples.ts";
import { collect, commonFlags } from "./flags.ts";
import { Progress } from "./terminal/progress.ts";
import { verbs, type Verb } from "./verbs.ts";

export interface Program {
  parseAsync(args: readonly string[], options?: { readonly from: "user" }): Promise<void>;
}

/** The command line's program. `parseAsync` gets the arguments without the program's name. */
export function createProgram(context: CliContext): Program {
  return { parseAsync: async (args) => await run(args, context) };
}

async function run(line: readonly string[], given: CliContext): Promise<void> {
  const args = await graduated(line, given);
  const called = calledVerbs(args);
  if (called.length === 0) await refuseElsewhere(args, given);
  refuseFlagBefore(called, args, given);
  using progress = new Progress(given, called.map(({ name }) => name).join(" "));
  const context = progress.start({ lasts: isLasting(args, called) });
  const program = emptyProgram(context);
  const all = wordsOf(args)[0] === "completion";
  await addVerbs(program, all ? verbs : called, context);
  for (const verb of verbs)
    if (!program.commands.some((command) => command.name() === verb.name)) addStub(program, verb);
  inListedOrder(program);
  const arranged = arrangeArguments(program, helpLast(args));
  try {
    await program.parseAsync(arranged, { from: "user" });
  } catch (error) {
    // The parser has printed what is wrong, but not what to do.
    if (error instanceof CommanderError && incompleteLines.has(error.code))
      context.err(`  hint: ${commandOf(program, arranged)} --help shows its arguments, flags and examples\n`);
    if (error instanceof CommanderError && error.code === "commander.unknownCommand")
      context.err(`  hint: ${unknownHint(commandOf(program, arranged), args)}\n`);
    throw error;
  }
}

/** Why this program lacks a command of istioctl. */
const missingCommands: Readonly<Record<string, string>> = {
  workload: "write the files of a virtual machine by hand; docs/contracts/pilot.md says what its proxy sends",
  config: "flags have no file of defaults; the variable ISTIOCTL_ISTIONAMESPACE sets --istioNamespace",
  options: "the help of each verb lists the flags of every verb",
};

/**
 * Says what to do instead of calling a command that does not exist. `parent` is the existing command above it, such as
 * `serin proxy-config`.
 */
function unknownHint(parent: string, words: readonly string[]): string {
  const known = parent.split(" ").length - 1;
  const reason = ownField(missingCommands, wordsOf(words)[known] ?? "");
  const order = words[0]?.startsWith("-") === true ? "; flags stand behind the command" : "";
  return `${reason === undefined ? "" : `${reason}. `}${parent} --help lists the commands${order}`;
}

/**
 * Throws for a line with a command of another role, such as `cluster`. `src/cmd` passes such a line on only if a flag
 * before the command is not the command's own.
 */
function refuseFlagBefore(called: readonly Verb[], args: readonly string[], { programName }: CliContext): void {
  const verb = called.find(({ load }) => load === undefined);
  const flag = args.find((word) => word.startsWith("-"));
  if (verb === undefined || flag === undefined) return;
  throw userError("argument-invalid", `${flag} cannot stand before ${verb.name}`, {
    hint: `write flags behind the command; ${programName} ${verb.name} --help lists them`,
  });
}

/** Throws for a verb that exists only below `experimental`. The error names the line that runs it. */
async function refuseElsewhere(args: readonly string[], context: CliContext): Promise<void> {
  const [first = ""] = wordsOf(args);
  const group = verbs.find(({ name }) => name === "experimental");
  if (first === "" || group === undefined) return;
  const program = emptyProgram(context);
  await addVerbs(program, [group], context);
  const below = program.commands.flatMap(({ commands }) => commands);
  const found = below.find((command) => command.name() === first || command.aliases().includes(first));
  if (found === undefined) return;
  throw userError("argument-invalid", `"${first}" is a command below experimental`, {
    hint: [context.programName, "experimental", ...args.map(shellWord)].join(" "),
  });
}

/** The parser's codes for a line that lacks words, has too many, or has a flag that the verb does not know. */
const incompleteLines: ReadonlySet<string> = new Set([
  "commander.unknownOption",
  "commander.missingArgument",
  "commander.missingMandatoryOptionValue",
  "commander.optionMissingArgument",
  "commander.excessArguments",
]);

function commandOf(program: Command, words: readonly string[]): string {
  const names = [program.name()];
  let command = program;
  for (const word of words) {
    const next = command.commands.find((child) => child.name() === word || child.aliases().includes(word));
    if (next === undefined) break;
    names.push(next.name());
    command = next;
  }
  return names.join(" ");
}

/**
 * Turns `x ztunnel-config` into `ztunnel-config`. Many guides still show verbs below `experimental` that later releases
 * of Istio have moved to the top.
 */
async function graduated(args: readonly string[], context: CliContext): Promise<readonly string[]> {
  const [first = "", second = ""] = wordsOf(args);
  const group = verbs.find(({ name }) => name === "experimental");
  const isVerb = verbs.some((verb) => verb.load !== undefined && isNamed(verb, second));
  if (group === undefined || !isVerb || !isNamed(group, first)) return args;
  const program = emptyProgram(context);
  await addVerbs(program, [group], context);
  const isOwn = program.commands
    .flatMap(({ commands }) => commands)
    .some((command) => command.name() === second || command.aliases().includes(second));
  return isOwn ? args : args.toSpliced(args.indexOf(first), 1);
}

/** Turns `help pc cluster` into `pc cluster --help`. The parser's own `help` knows only one word. */
function helpLast(args: readonly string[]): readonly string[] {
  const hasWords = args[0] === "help" && args.length > 1;
  return hasWords ? [...args.slice(1), "--help"] : args;
}

/** Whether the line runs until the user ends it, because it watches or serves. */
export function isLastingLine(args: readonly string[]): boolean {
  return isLasting(args, calledVerbs(args));
}

function calledVerbs(args: readonly string[]): readonly Verb[] {
  const [first = "", second = ""] = wordsOf(args);
  return verbs.filter((verb) => isNamed(verb, first === "help" ? second : first));
}

function isLasting(args: readonly string[], called: readonly Verb[]): boolean {
  return (
    called.length === 0 ||
    called.some(({ runsOn }) => runsOn === true) ||
    args.some((word) => word === "-w" || word === "--watch")
  );
}

/** The program with every verb loaded, from which completion and documentation are derived. */
export async function completeProgram(context: CliContext): Promise<Command> {
  const program = emptyProgram(context);
  await addVerbs(program, verbs, context);
  for (const verb of verbs) if (verb.load === undefined) addStub(program, verb);
  inListedOrder(program);
  return program;
}

function emptyProgram(context: CliContext): Command {
  const program = new Command(context.programName);
  return addFirstSteps(
    program
      .description(
        "A service mesh that speaks Istio. You change anything by canary, with no failed request, and you can undo it.",
      )
      .version(context.version, "--version", "print the release of this command line")
      .configureOutput({
        writeOut: context.out,
        writeErr: context.err,
        outputError: (text, write) => write(asOwnError(text, context.programName)),
      })
      .configureHelp({ optionDescription: describeOption, subcommandTerm: termOf })
      .showSuggestionAfterError()
      // A flag belongs to the verb before it, even if the parent verb has a flag of the same name: `upgrade -f` and
      // `upgrade start -f` differ.
      .enablePositionalOptions()
      .exitOverride(),
  );
}

/**
 * Rewrites the parser's message to the form of our other errors: it begins with the program's name, and ends with the
 * name that the user probably meant.
 */
function asOwnError(text: string, programName: string): string {
  return text
    .replace(/^error: /, `${programName}: `)
    .replace(/\n\(Did you mean (one of )?([^?]+)\?\)/, (_, several: string | undefined, words: string) =>
      several === undefined ? `; did you mean ${words}?` : `; did you mean one of ${words}?`,
    );
}

const standardHelp = new Help();

/** Describes an option without an empty default, which the parser would show as `(default: [])` or `(default: "")`. */
function describeOption(option: Option): string {
  const { defaultValue } = option;
  const isEmpty = defaultValue === "" || (Array.isArray(defaultValue) && defaultValue.length === 0);
  return isEmpty ? option.description : standardHelp.optionDescription(option);
}

/** A verb in its parent's list. Leaves out `[options]`, which every verb has, to make space for the description. */
function termOf(command: Command): string {
  return standardHelp.subcommandTerm(command).replace(" [options]", "");
}

function isNamed({ name, aliases = [] }: Verb, word: string): boolean {
  return name === word || aliases.includes(word);
}

async function addVerbs(program: Command, wanted: readonly Verb[], context: CliContext): Promise<void> {
  for (const verb of wanted) {
    const add = await verb.load?.();
    if (add === undefined) continue;
    add(program, context);
    const command = program.commands.find((known) => known.name() === verb.name);
    command?.summary(verb.summary);
    if (command === undefined) continue;
    nameFlagsInErrors(command);
    addCommonFlags(command, context);
    addExamplesBelow(command, command.name(), context);
  }
}

/**
 * Puts the flag's name before errors about its value. One parser reads the values of many flags, and does not know
 * their names.
 */
function nameFlagsInErrors(command: Command): void {
  for (const option of command.options) {
    const parse: Option["parseArg"] = option.parseArg;
    const name = option.long ?? option.short ?? "";
    if (parse !== undefined) option.argParser((value, before) => withFlagName(name, () => parse(value, before)));
  }
  for (const child of command.commands) nameFlagsInErrors(child);
}

function withFlagName<Value>(flag: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof SerinError)) throw error;
    const { code, message, hint } = error;
    throw userError(code, `${flag}: ${message}`, hint === undefined ? {} : { hint });
  }
}

function addExamplesBelow(command: Command, path: string, context: CliContext): void {
  addExamples(command, path, context.programName);
  for (const child of command.commands) addExamplesBelow(child, `${path} ${child.name()}`, context);
}

function addStub(program: Command, { name, aliases = [], summary }: Verb): void {
  program
    .command(name)
    .aliases([...aliases])
    .description(summary)
    .allowUnknownOption();
}

function inListedOrder(program: Command): void {
  const order = new Map(verbs.map(({ name }, index) => [name, index]));
  const commands = program.commands as Command[];
  commands.sort((a, b) => (order.get(a.name()) ?? verbs.length) - (order.get(b.name()) ?? verbs.length));
}

/**
 * Adds the flags that every verb accepts anywhere in the line. If a verb declares a flag of the same name, its own
 * stays.
 */
function addCommonFlags(command: Command, context: CliContext): void {
  for (const child of command.commands) addCommonFlags(child, context);
  if (command.commands.length > 0 && command.registeredArguments.length === 0 && !hasAction(command)) return;
  for (const { short, long, text, hidden = false, isList = false, variable = "" } of commonFlags) {
    if (command.options.some((option) => option.long === long.split(" ")[0])) continue;
    const shortIsFree = short !== undefined && !command.options.some((option) => option.short === short);
    const option = new Option(shortIsFree ? `${short}, ${long}` : long, text).hideHelp(hidden);
    if (isList) option.default([], "none").argParser(collect);
    const fromEnvironment = context.env[variable] ?? "";
    if (fromEnvironment !== "") {
      option.description = text.replace(/ \(default: .*\)$/, "");
      option.default(fromEnvironment, `${fromEnvironment}, by ${variable}`);
    }
    option.helpGroupHeading = "Flags of every verb:";
    command.addOption(option);
  }
}
