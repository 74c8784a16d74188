import type { Command } from "commander";
import { stringify } from "yaml";
import { jsonText, userError, ownField } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { formatIssues } from "../../api/index.ts";
import { defaultHub } from "../../api/images/index.ts";
import type { IstioOperatorSpec } from "../../api/istio/index.ts";
import { profiles, resolveSpec } from "../../install/index.ts";
import { collect } from "../flags.ts";
import { readOperatorFile } from "./install-input.ts";
import type { CliContext } from "../context.ts";
import { lineChanges } from "../terminal/line-changes.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";

interface DumpFlags {
  readonly filename: readonly string[];
  readonly set: readonly string[];
  readonly configPath?: string;
  readonly output: string;
}

export function profileCommands(program: Command, context: CliContext): void {
  const profile = program.command("profile").description("list, print or compare the installation profiles");
  profile
    .command("list")
    .description("list the profiles")
    .option("-o, --output <format>", "json, yaml or table", "table")
    .action(async ({ output }: { readonly output: string }) => {
      const format = outputFormat(output, ["json", "yaml", "table"]);
      const names = Object.keys(profiles);
      if (format !== "table") return context.out(await renderValue(names, format));
      context.out(`Istio configuration profiles:\n${names.map((name) => `    ${name}\n`).join("")}`);
    });
  profile
    .command("dump [profile]")
    .description("print a profile as an IstioOperator; without a name, print the profile default")
    .option("-f, --filename <file>", "an IstioOperator file to merge; may be repeated", collect, [])
    .option("-s, --set <path=value>", "set a field; may be repeated", collect, [])
    .option("-p, --config-path <path>", "print only the fields below this path, such as components.cni")
    .option("-o, --output <format>", "yaml, json or flags", "yaml")
    .action(async (name: string | undefined, flags: DumpFlags) => await dump(name, flags, context));
  profile
    .command("diff <from> <to>")
    .description("compare two profiles or files")
    .action(async (from: string, to: string) => {
      const changes = await Promise.all([from, to].map(async (name) => textOf(await specOf(name, context))));
      if (changes[0] === changes[1]) return context.out("Profiles are identical\n");
      context.out(`The difference between profiles:\n${lineChanges(changes[0] ?? "", changes[1] ?? "")}\n`);
      throw userError("difference-found", `profiles ${from} and ${to} differ`);
    });
}

async function dump(name: string | undefined, flags: DumpFlags, context: CliContext): Promise<void> {
  const specs: IstioOperatorSpec[] = [];
  for (const file of flags.filename) specs.push(...(await readOperatorFile(file, context)));
  const spec = resolved(specs, name === undefined ? flags.set : [`profile=${name}`, ...flags.set], context);
  const path = flags.configPath?.split(".") ?? [];
  const found = path.reduce<unknown>(
    (value, field) =>
      typeof value === "object" && value !== null ? (value as Record<string, unknown>)[field] : undefined,
    spec,
  );
  if (found === undefined)
    throw userError("argument-invalid", `the profile has no field ${path.join(".")}`, {
      hint: `${context.programName} profile dump shows all fields`,
    });
  const profile =
    path.length === 0 ? { apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec: found } : found;
  if (flags.output === "json") context.out(jsonText(profile));
  else if (flags.output === "flags") context.out(`${flagsOf(found).join("\n")}\n`);
  else if (flags.output === "yaml") context.out(stringify(profile, writtenForKubernetes));
  else throw userError("argument-invalid", `-o ${flags.output} is not supported: expected yaml, json or flags`);
}

function resolved(
  specs: readonly IstioOperatorSpec[],
  setFlags: readonly string[],
  context: CliContext,
): IstioOperatorSpec {
  const parsed = resolveSpec({ specs, setFlags });
  if (parsed.value === undefined) throw userError("install-invalid", formatIssues(parsed.errors));
  return { hub: defaultHub, tag: context.version, ...parsed.value };
}

async function specOf(name: string, context: CliContext): Promise<IstioOperatorSpec> {
  const isFile = /[./]/.test(name) && ownField(profiles, name) === undefined;
  return resolved(isFile ? await readOperatorFile(name, context) : [], isFile ? [] : [`profile=${name}`], context);
}

function textOf(spec: IstioOperatorSpec): string {
  return stringify(
    { apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec },
    { ...writtenForKubernetes, sortMapEntries: true },
  );
}

/** The paths and values of a tree, as `--set` takes them: `components.cni.enabled=true`. */
function flagsOf(value: unknown, path = ""): string[] {
  if (typeof value !== "object" || value === null) return [`${path}=${String(value)}`];
  const isList = Array.isArray(value);
  return Object.entries(value).flatMap(([key, inner]) =>
    flagsOf(inner, isList ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`),
  );
}
