import type { Command } from "commander";
import { userError } from "../base/index.ts";
import type { CliContext } from "./context.ts";

/** Words after which others may follow: `""` is the command itself, `ztunnel-config log` a verb of a verb. */
type Words = ReadonlyMap<string, readonly string[]>;

/** `completion bash|zsh`: a script for the shell, to be sourced. */
export function completionCommands(program: Command, context: CliContext): void {
  program
    .command("completion <shell>")
    .description("a script that completes verbs and flags: source <(serin completion bash), or zsh")
    .action((shell: string) => {
      const words = wordsOf(program, context.otherVerbs);
      if (shell === "bash") context.out(bashScript(words));
      else if (shell === "zsh") context.out(`autoload -U +X bashcompinit && bashcompinit\n${bashScript(words)}`);
      else throw userError("shell-unknown", `completion for ${shell} is not there: expected bash or zsh`);
    });
}

function wordsOf(program: Command, otherVerbs: Readonly<Record<string, readonly string[]>>): Words {
  const words = new Map<string, readonly string[]>();
  const visit = (command: Command, path: string): void => {
    const verbs = command.commands.map((child) => child.name());
    const flags = command.options.filter(({ hidden }) => !hidden).map((option) => option.long ?? "").filter((flag) => flag !== "");
    words.set(path, [...verbs, ...(path === "" ? Object.keys(otherVerbs) : []), ...flags, "--help"]);
    for (const child of command.commands) visit(child, `${path} ${child.name()}`.trim());
  };
  visit(program, "");
  for (const [verb, verbs] of Object.entries(otherVerbs)) words.set(verb, [...verbs, "--help"]);
  return words;
}

function bashScript(words: Words): string {
  const cases = [...words].map(([path, next]) => `    "${path}") words="${next.join(" ")}" ;;`);
  return `_serin() {
  local path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _serin serin istioctl
`;
}
