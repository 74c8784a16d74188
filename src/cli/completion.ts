import type { Command } from "commander";
import { nearestName, userError, ownField } from "../base/index.ts";
import type { CliContext } from "./context.ts";

/** A place in the line where words may follow: after the command, a verb, or a verb of a verb. */
interface Place {
  /** Every form of the path, with aliases: `proxy-config endpoint`, `pc ep`. */
  readonly paths: readonly string[];
  readonly verbs: readonly { readonly name: string; readonly text: string }[];
  readonly flags: readonly { readonly long: string; readonly text: string; readonly takesValue: boolean }[];
}

const scripts: Readonly<Record<string, (places: readonly Place[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};
const programs = ["serin", "istioctl"];

/** `completion bash|zsh|fish`: a script for the shell, made from the commands themselves. */
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

function placesOf(program: Command, otherVerbs: Readonly<Record<string, readonly string[]>>): readonly Place[] {
  const places: Place[] = [];
  const visit = (command: Command, paths: readonly string[]): void => {
    const own = otherVerbs[command.name()];
    const children =
      own === undefined || command.parent !== program
        ? command.commands.map((child) => ({ name: child.name(), text: child.summary() || child.description() }))
        : own.map((name) => ({ name, text: "" }));
    const flags = command.options
      .filter(({ hidden }) => !hidden)
      .flatMap(({ long, description, required, optional }) =>
        long === undefined || long === null ? [] : [{ long, text: description, takesValue: required || optional }],
      );
    places.push({
      paths,
      verbs: children,
      flags: [...flags, { long: "--help", text: "show the help of a verb", takesValue: false }],
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

function bashScript(places: readonly Place[]): string {
  const cases = places.map(
    ({ paths, verbs, flags }) =>
      `    ${paths.map((path) => `"${path}"`).join("|")}) echo "${[...verbs.map(({ name }) => name), ...flags.map(({ long }) => long)].join(" ")}" ;;`,
  );
  return `_serin_words() {
  case "$1" in
${cases.join("\n")}
    *) return 1 ;;
  esac
}
_serin() {
  local path="" word
  # A word that is no verb here is a flag, its value or an argument.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if _serin_words "\${path:+$path }$word" >/dev/null; then path="\${path:+$path }$word"; fi
  done
  COMPREPLY=($(compgen -W "$(_serin_words "$path")" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _serin ${programs.join(" ")}
`;
}

function zshScript(places: readonly Place[]): string {
  return `autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(places)}`;
}

function fishScript(places: readonly Place[]): string {
  const quoted = (text: string): string => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;
  const known = places
    .flatMap(({ paths }) => paths)
    .filter((path) => path !== "")
    .map(quoted);
  const lines = programs.flatMap((program) => [
    `complete -c ${program} -f`,
    ...places.flatMap(({ paths, verbs, flags }) => {
      const at = `-n ${quoted(`__serin_at ${paths.map((path) => `"${path}"`).join(" ")}`)}`;
      return [
        ...verbs.map(({ name, text }) => `complete -c ${program} ${at} -a ${quoted(name)} -d ${quoted(text)}`),
        ...flags.map(
          ({ long, text, takesValue }) =>
            `complete -c ${program} ${at} -l ${long.slice(2)}${takesValue ? " -r" : ""} -d ${quoted(text)}`,
        ),
      ];
    }),
  ]);
  return `function __serin_at
  set -l path
  for word in (commandline -opc)[2..-1]
    if contains -- (string join ' ' $path $word) ${known.join(" ")}
      set -a path $word
    end
  end
  contains -- "$path" $argv
end
${lines.join("\n")}
`;
}
