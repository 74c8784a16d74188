import { join } from "node:path";
import type { Command } from "commander";
import { stringify } from "yaml";
import { shellWord, userError } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { keyOf, type UntypedObject } from "../../api/index.ts";
import type { IstioOperatorSpec } from "../../api/istio/index.ts";
import {
  installFlags,
  manifestOf,
  readOperatorFiles,
  readYaml,
  renderFromFlags,
  setFlagsOf,
  type InstallFlags,
} from "./install-input.ts";
import type { CliContext } from "../context.ts";
import { lineChanges } from "../terminal/line-changes.ts";
import { translateOperator } from "./translate-operator.ts";
import { makeUserDirectory, writeUserFile } from "../user-file.ts";

export function manifestCommands(program: Command, context: CliContext): void {
  const manifest = program
    .command("manifest")
    .description("print, compare or translate the objects of an installation");
  installFlags(
    manifest.command("generate").description("print the objects of an installation as YAML, for kubectl apply -f -"),
  )
    .option("-o, --output <file>", "the output file (default: standard output)")
    .option("--component <names>", "print only these components, such as pilot,cni")
    .action(async (flags: GenerateFlags) => await generate(flags, context));
  manifest
    .command("diff <from> <to>")
    .description("compare the objects of two files")
    .option(
      "--ignore <paths>",
      "the objects to leave out, separated by commas: Kind:namespace:name, where * matches any",
      "",
    )
    .action(
      async (from: string, to: string, flags: { readonly ignore: string }) =>
        await diff(from, to, flags.ignore, context),
    );
  installFlags(
    manifest
      .command("translate")
      .description("convert an installation's files and flags to Helm values, one document for each chart"),
  )
    .option("-o, --output <directory>", "write a file for each chart into this directory (default: standard output)")
    .action(async (flags: TranslateFlags) => await translate(flags, context));
}

/**
 * The spec without the name of its IstioOperator. The objects get the name as a label only if this program installs
 * them.
 */
function withoutOwner(spec: IstioOperatorSpec): IstioOperatorSpec {
  const { ownerName: _owner, ...values } = spec.values ?? {};
  return { ...spec, values };
}

interface TranslateFlags extends InstallFlags {
  readonly output?: string;
}

async function translate(flags: TranslateFlags, context: CliContext): Promise<void> {
  const specs = (await readOperatorFiles(flags, context)).map(withoutOwner);
  const { releases, warnings } = translateOperator(specs, setFlagsOf(flags));
  for (const warning of warnings) context.err(`! ${warning}\n`);
  const { output } = flags;
  if (output !== undefined) makeUserDirectory(output, "choose another with --output");
  for (const { chart, release, namespace, values } of releases) {
    const command = `helm install ${release} istio/${chart} -n ${namespace} -f`;
    if (output === undefined) {
      context.out(`---\n# ${command} <this document>\n${values}`);
      continue;
    }
    const file = join(output, `${release}-values.yaml`);
    await writeUserFile(file, values);
    context.out(`${command} ${shellWord(file)}\n`);
  }
}

interface GenerateFlags extends InstallFlags {
  readonly component?: string;
  readonly output?: string;
}

async function generate(flags: GenerateFlags, context: CliContext): Promise<void> {
  const rendered = await renderFromFlags(flags, context);
  const components =
    flags.component === undefined ? rendered.components : componentsNamed(flags.component, rendered.components);
  const texts = manifestOf({ ...rendered, components }).map((object) => `---\n${textOf(object)}`);
  if (flags.output === undefined) for (const text of texts) context.out(text);
  else await writeUserFile(flags.output, texts.join(""));
}

/** The components whose names begin with one of the words. Throws if a word matches none. */
function componentsNamed<Component extends { readonly name: string }>(
  words: string,
  components: readonly Component[],
): Component[] {
  const chosen = new Set<Component>();
  for (const word of words.split(",").map((part) => part.trim())) {
    const found = components.filter(({ name }) => word !== "" && name.toLowerCase().startsWith(word.toLowerCase()));
    if (found.length === 0)
      throw userError("argument-invalid", `--component: the installation has no component "${word}"`, {
        hint: `it has ${[...new Set(components.map(({ name }) => name))].join(", ")}`,
      });
    for (const component of found) chosen.add(component);
  }
  return components.filter((component) => chosen.has(component));
}

/**
 * Writes an object as YAML. A CRD becomes one line of JSON, which is valid YAML: a megabyte of YAML takes a second to
 * write.
 */
function textOf(object: UntypedObject): string {
  return object.kind === "CustomResourceDefinition"
    ? `${JSON.stringify(object)}\n`
    : stringify(object, writtenForKubernetes);
}

async function diff(from: string, to: string, ignore: string, context: CliContext): Promise<void> {
  const ignored = ignore.split(",").filter((pattern) => pattern !== "");
  const before = await byName(from, ignored, context);
  const after = await byName(to, ignored, context);
  let differences = 0;
  for (const name of [...new Set([...before.keys(), ...after.keys()])].toSorted()) {
    const [left, right] = [before.get(name), after.get(name)];
    if (left === right) continue;
    differences += 1;
    const difference = left === undefined ? `only in ${to}` : right === undefined ? `only in ${from}` : "differs";
    context.out(
      `\nObject ${name} ${difference}${left === undefined || right === undefined ? "" : `:\n\n${lineChanges(left, right)}`}\n`,
    );
  }
  if (differences > 0)
    throw userError("difference-found", `${differences} object${differences === 1 ? " differs" : "s differ"}`);
  context.out("Manifests are identical\n");
}

async function byName(file: string, ignored: readonly string[], context: CliContext): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const object of await readYaml(file, context)) {
    if (typeof object !== "object" || object.metadata === undefined)
      throw userError("file-invalid", `${file} contains a document without metadata: expected Kubernetes objects`);
    const name = `${object.kind ?? ""}:${object.metadata.namespace ?? ""}:${object.metadata.name ?? ""}`;
    if (!ignored.some((pattern) => matches(pattern, object)))
      found.set(name, stringify(object, { sortMapEntries: true }));
  }
  return found;
}

function matches(pattern: string, object: UntypedObject): boolean {
  const [kind = "*", namespace = "*", name = "*"] = pattern.split(":");
  const [inNamespace = "", named = ""] = [object.metadata.namespace, keyOf(object).split("/").at(-1)];
  return [
    [kind, object.kind ?? ""],
    [namespace, inNamespace],
    [name, named],
  ].every(([wanted = "", is = ""]) => wanted === "*" || wanted === "" || wanted === is);
}
