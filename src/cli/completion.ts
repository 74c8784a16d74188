import type { Argument, Command, Option } from "commander";
import { nearestName, userError, ownField } from "../base/index.ts";
import type { CliContext, OtherVerbs } from "./context.ts";

/** A position in the line at which words may follow: after the command, after a verb, or after a verb's own verb. */
interface Place {
  /** Every form of the path, with aliases: `proxy-config endpoint`, `pc ep`. */
  readonly paths: readonly string[];
  readonly verbs: readonly { readonly name: string; readonly text: string }[];
  readonly flags: readonly Flag[];
  /** The known values of the arguments, such as the names of shells. */
  readonly words: readonly string[];
  readonly takesFiles: boolean;
}

interface Flag {
  readonly long: string;
  readonly short?: string;
  readonly text: string;
  readonly takesValue: boolean;
  /** The known values. If there are none, the completion offers files. */
  readonly values: readonly string[];
}

const scripts: Readonly<Record<string, (places: readonly Place[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};
const programs = ["serin", "istioctl"];
const helpFlag: Flag = { long: "--help", text: "show the help of a verb", takesValue: false, values: [] };

/** `completion bash|zsh|fish`: prints a script for the shell, generated from the declared commands. */
export function completionCommands(program: Command, context: CliContext): void {
  program
    .command("completion <shell>")
    .description(
      "print a shell script that completes verbs and flags: source <(serin completion bash), or zsh; serin completion fish | source",
    )
    // Cobra's completion scripts have this flag.
    .option("--no-descriptions", "has no effect; exists for old scripts")
    .action((shell: string) => {
      const script = ownField(scripts, shell);
      if (script === undefined) {
        const near = nearestName(shell, Object.keys(scripts));
        throw userError(
          "argument-invalid",
          `there is no completion for ${shell}: expected ${Object.keys(scripts).join(", ")}${near === undefined ? "" : `; did you mean ${near}?`}`,
        );
      }
      context.out(script(placesOf(program, context.otherVerbs)));
    });
}

function placesOf(program: Command, otherVerbs: OtherVerbs): readonly Place[] {
  const places: Place[] = [];
  const visit = (command: Command, paths: readonly string[]): void => {
    const own = command.parent === program ? ownField(otherVerbs, command.name()) : undefined;
    if (own !== undefined) {
      places.push(...placesOfOther(command.name(), own));
      return;
    }
    places.push({
      paths,
      verbs: command.commands.map((child) => ({ name: child.name(), text: child.summary() || child.description() })),
      flags: [...command.options.flatMap(flagOf), helpFlag],
      words: command.name() === "completion" ? Object.keys(scripts) : [],
      takesFiles: command.registeredArguments.some(isFile),
    });
    for (const child of command.commands) {
      const names = [child.name(), ...child.aliases()];
      visit(
        child,
        paths.flatMap((path) => names.map((name) => `${path} ${name}`.trim())),
      );
    }
  };
  visit(program, [""]);
  return places;
}

/** The places of a verb of another role: the verb with its flags, and each of its own verbs. */
function placesOfOther(name: string, { flags, verbs }: OtherVerbs[string]): Place[] {
  const place = (path: string, names: readonly string[], own: readonly string[]): Place => ({
    paths: [path],
    verbs: names.map((verb) => ({ name: verb, text: "" })),
    flags: [...own.map(namedFlag), helpFlag],
    words: [],
    takesFiles: false,
  });
  return [
    place(name, Object.keys(verbs), flags),
    ...Object.entries(verbs).map(([verb, own]) => place(`${name} ${verb}`, [], own)),
  ];
}

/** A flag in the form `--name`, or `--name=` if it takes a value. */
function namedFlag(text: string): Flag {
  return { long: text.replace("=", ""), text: "", takesValue: text.endsWith("="), values: [] };
}

function flagOf({ hidden, long, short, description, required, optional, argChoices }: Option): Flag[] {
  if (hidden || long === undefined || long === null) return [];
  return [
    {
      long,
      ...(short === undefined ? {} : { short }),
      text: description,
      takesValue: required || optional,
      values: argChoices ?? (long === "--output" ? formatsIn(description) : []),
    },
  ];
}

/** The formats that a description begins with, such as `json, yaml or short`. Empty if it begins otherwise. */
function formatsIn(description: string): string[] {
  const [list = ""] = /^(?:one of )?[a-z]+(?:, [a-z]+)*(?: or [a-z]+)?(?=$|[ ,;])/.exec(description) ?? [];
  return list.includes("json") || list.includes("yaml") ? list.replace("one of ", "").split(/, | or /) : [];
}

function isFile(argument: Argument): boolean {
  return /file|directory|^from$|^to$/.test(argument.name());
}

/**
 * Three lists for a place: the verbs and known arguments, the flags, and for each flag with a value its known values.
 */
function wordsAt({ verbs, words, flags }: Place): string {
  const valued = flags.filter(({ takesValue }) => takesValue);
  return [
    [...verbs.map(({ name }) => name), ...words],
    flags.map(({ long }) => long),
    valued.flatMap(({ long, short, values }) =>
      (short === undefined ? [long] : [long, short]).map((flag) => `${flag}:${values.join(",")}`),
    ),
  ]
    .map((list) => list.join(" "))
    .join(";");
}

/** A function for bash and zsh that prints {@link wordsAt} for a path, and fails for any other text. */
function wordsFunction(places: readonly Place[]): string {
  const cases = places.map(
    (place) => `    ${place.paths.map((path) => `"${path}"`).join("|")}) echo "${wordsAt(place)}" ;;`,
  );
  return `_serin_words() {
  case "$1" in
${cases.join("\n")}
    *) return 1 ;;
  esac
}
`;
}

/** Lines for bash and zsh that set `values` to the words that may follow the word `before` at the path `at`. */
const chooseValues = `  lists="$(_serin_words "$at")"
  values=" \${lists##*;}"
  lists="\${lists%;*}"
  if [[ "$values" == *" $before:"* ]]; then
    values="\${values#*" $before:"}"
    values="\${values%% *}"
    values="\${values//,/ }"
  elif [[ "$current" == -* ]]; then values="\${lists#*;}"
  else values="\${lists%%;*}"
  fi
`;

function bashScript(places: readonly Place[]): string {
  return `${wordsFunction(places)}_serin() {
  local at="" word lists values current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}"
  # A word that is no verb here is a flag, its value or an argument.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if _serin_words "\${at:+$at }$word" >/dev/null; then at="\${at:+$at }$word"; fi
  done
${chooseValues}  # Without a known word, the shell completes the names of files.
  COMPREPLY=($(compgen -W "$values" -- "$current"))
}
complete -o default -F _serin ${programs.join(" ")}
`;
}

/** The script works if it is sourced, and as the file `_serin` in a folder of `fpath`. */
function zshScript(places: readonly Place[]): string {
  return `#compdef ${programs.join(" ")}
${wordsFunction(places)}_serin() {
  local at="" word lists values current="\${words[CURRENT]}" before="\${words[CURRENT-1]}"
  # A word that is no verb here is a flag, its value or an argument.
  for word in "\${(@)words[2,CURRENT-1]}"; do
    if _serin_words "\${at:+$at }$word" >/dev/null; then at="\${at:+$at }$word"; fi
  done
${chooseValues}  # Without a known word, the shell completes the names of files.
  compadd -- \${=values} || _files
}
if [ "\${funcstack[1]}" = _serin ]; then
  _serin "$@"
else
  (( \${+functions[compdef]} )) || { autoload -U compinit && compinit; }
  compdef _serin ${programs.join(" ")}
fi
`;
}

function fishScript(places: readonly Place[]): string {
  const quoted = (text: string): string => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
  const known = places
    .flatMap(({ paths }) => paths)
    .filter((path) => path !== "")
    .map(quoted);
  const lines = programs.flatMap((program) => [
    `complete -c ${program} -f`,
    ...places.flatMap(({ paths, verbs, flags, words, takesFiles }) => {
      const at = `-n ${quoted(`__serin_at ${paths.map((path) => `"${path}"`).join(" ")}`)}`;
      return [
        ...verbs.map(({ name, text }) => `complete -c ${program} ${at} -a ${quoted(name)} -d ${quoted(text)}`),
        ...words.map((word) => `complete -c ${program} ${at} -a ${quoted(word)}`),
        ...(takesFiles ? [`complete -c ${program} ${at} -F`] : []),
        ...flags.map(({ long, short, text, takesValue, values }) => {
          const value = values.length > 0 ? ` -x -a ${quoted(values.join(" "))}` : " -r -F";
          const names = `${short === undefined ? "" : ` -s ${short.slice(1)}`} -l ${long.slice(2)}`;
          return `complete -c ${program} ${at}${names}${takesValue ? value : ""} -d ${quoted(text)}`;
        }),
      ];
    }),
  ]);
  return `function __serin_at
  set -l path
  for word in (commandline -opc)[2..-1]
    if contains -- (string join -- ' ' $path $word) ${known.join(" ")}
      set -a path $word
    end
  end
  contains -- "$path" $argv
end
${lines.join("\n")}
`;
}
