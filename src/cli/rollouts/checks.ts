import type { Command } from "commander";
import { parse } from "yaml";
import { formatIssues } from "../../api/index.ts";
import { checkKind, checkTypes, explainCheck, parseCheck, type CheckSpec } from "../../api/serin/index.ts";
import { userError } from "../../base/index.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";

interface ExplainFlags extends ConnectionFlags {
  readonly filename?: string;
  readonly namespace?: string;
}

/** `serin check`: what a judgement looks at, when it passes and when it fails. */
export function checkCommands(program: Command, context: CliContext): void {
  const check = program.command("check").description("judgements: what they look at, when they pass and when they fail");
  flags(check.command("explain [check]").description("in words: a built-in check by its type, a Check of the cluster by its name, or a file's")).action(
    async (subject: string | undefined, said: ExplainFlags) => {
      const spec = await specOf(subject, said, context);
      context.out(`${explainCheck(spec).join("\n")}\n`);
    },
  );
  check
    .command("types")
    .description("the built-in checks")
    .action(() => {
      for (const type of checkTypes) {
        const spec = defaultOf(type);
        context.out(`${type.padEnd(22)} ${spec === undefined ? "Needs more than its type: see docs/rollouts.md." : (explainCheck(spec)[0] ?? "")}\n`);
      }
    });
}

function flags(command: Command): Command {
  return command
    .option("-f, --filename <file>", "a Check as YAML; - is standard input")
    .option("-n, --namespace <namespace>", "of a Check of the cluster")
    .option("--kubeconfig <path>", "kubeconfig file")
    .option("--context <name>", "context of the kubeconfig");
}

/** A check of that type with all its defaults; undefined where the type alone says too little. */
function defaultOf(type: string): CheckSpec | undefined {
  return parseCheck({ metadata: { name: "check" }, spec: { type } }).value?.spec;
}

async function specOf(subject: string | undefined, said: ExplainFlags, context: CliContext): Promise<CheckSpec> {
  if (said.filename !== undefined) return parsed(said.filename, parse(await context.readFile(said.filename)));
  if (subject === undefined) throw userError("check-unnamed", "a check needs a type, a name or a file", { hint: `the types are ${checkTypes.join(", ")}` });
  const builtIn = checkTypes.some((type) => type === subject) ? defaultOf(subject) : undefined;
  if (builtIn !== undefined) return builtIn;
  const client = await context.connect(said);
  const namespace = said.namespace ?? (await context.defaultNamespace(said));
  const found = await client.get(checkKind, subject, namespace);
  if (found === undefined) throw userError("not-found", `there is no built-in check, and no Check in namespace ${namespace}, that is called "${subject}"`, { hint: `built in are ${checkTypes.join(", ")}` });
  return parsed(`Check ${namespace}/${subject}`, found);
}

function parsed(origin: string, raw: unknown): CheckSpec {
  const { value, errors } = parseCheck(raw);
  if (value === undefined) throw userError("check-invalid", `${origin}: ${formatIssues(errors)}`);
  return value.spec;
}
