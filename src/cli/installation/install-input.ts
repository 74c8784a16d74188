import type { Command } from "commander";
import * as yaml from "yaml";
import { userError } from "../../base/index.ts";
import { documentsForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { formatIssues, formatIssuesOf, type UntypedObject } from "../../api/index.ts";
import { defaultHub } from "../../api/images/index.ts";
import { parseIstioOperator, type IstioOperatorSpec } from "../../api/istio/index.ts";
import {
  inApplyOrder,
  renderInstall,
  renderNamespaces,
  resolveSettings,
  type InstallSettings,
  type RenderedComponent,
} from "../../install/index.ts";
import { refuseSyntaxErrors, yamlValue } from "../yaml-value.ts";
import type { CliContext } from "../context.ts";
import { sourceName } from "../user-file.ts";
import { collect, connectionFlags, type CommonFlags } from "../flags.ts";

export interface InstallFlags extends CommonFlags {
  readonly filename: readonly string[];
  readonly set: readonly string[];
  readonly revision?: string;
  readonly manifests?: string;
}

export function installFlags(
  command: Command,
  revision = "the revision to install (default: the revision in the spec)",
): Command {
  return connectionFlags(
    command
      .option(
        "-f, --filename <file>",
        "an IstioOperator file; repeat the flag for several files, of which later ones override earlier ones",
        collect,
        [],
      )
      .option(
        "-s, --set <path=value>",
        "set a field of the spec, such as profile=ambient; may be repeated",
        collect,
        [],
      )
      .option("-r, --revision <revision>", revision)
      .option(...manifestsFlag),
  );
}

export const manifestsFlag = [
  "-d, --manifests <path>",
  "has no effect; the command always uses the release's own manifests",
] as const;

export interface RenderedInstall {
  readonly settings: InstallSettings;
  readonly components: readonly RenderedComponent[];
}

/** Reads and renders the files and flags. Throws user errors for faults, and prints warnings on standard error. */
export async function renderFromFlags(flags: InstallFlags, context: CliContext): Promise<RenderedInstall> {
  const specs = await readOperatorFiles(flags, context);
  const rendered = await renderSpecs(specs, setFlagsOf(flags), context);
  noteOtherNamespace(flags, rendered, context);
  return rendered;
}

/** Reads the specs in all files. Prints a note if `--manifests` is given, because it has no effect. */
export async function readOperatorFiles(flags: InstallFlags, context: CliContext): Promise<IstioOperatorSpec[]> {
  const specs: IstioOperatorSpec[] = [];
  for (const file of flags.filename) specs.push(...(await readOperatorFile(file, context)));
  if (flags.manifests !== undefined)
    context.err(
      `! --manifests ${flags.manifests} has no effect: the objects are those of release ${context.version}\n`,
    );
  return specs;
}

/**
 * Prints a note if a flag names another namespace than the spec, because only the spec decides where the mesh is
 * installed.
 */
function noteOtherNamespace(
  { istioNamespace, namespace }: InstallFlags,
  { settings }: RenderedInstall,
  { err }: CliContext,
): void {
  for (const [flag, given] of Object.entries({ "--istioNamespace": istioNamespace, "--namespace": namespace }))
    if (given !== undefined && given !== settings.namespace)
      err(
        `! ${flag} ${given} has no effect: the installation's namespace is ${settings.namespace}; to change it: --set values.global.istioNamespace=${given}\n`,
      );
}

export function setFlagsOf(flags: InstallFlags): readonly string[] {
  return flags.revision === undefined ? flags.set : [...flags.set, `revision=${flags.revision}`];
}

export async function renderSpecs(
  specs: readonly IstioOperatorSpec[],
  setFlags: readonly string[],
  context: CliContext,
): Promise<RenderedInstall> {
  const parsed = resolveSettings({ specs, setFlags }, { hub: defaultHub, tag: context.version });
  if (parsed.value === undefined) throw userError("install-invalid", formatIssues(parsed.errors));
  for (const warning of parsed.warnings) context.err(`! ${formatIssues([warning])}\n`);
  // Load the CRDs, which take a megabyte, only if the base component is enabled. It alone installs them.
  const customResources =
    parsed.value.base.enabled === true
      ? { istio: await context.customResources("istio"), rollout: await context.customResources("rollout") }
      : { istio: [], rollout: [] };
  const { components, errors } = renderInstall(parsed.value, customResources);
  if (errors.length > 0) throw userError("install-invalid", formatIssues(errors));
  return { settings: parsed.value, components };
}

/** All objects of an installation, in an order in which kubectl can apply them. */
export function manifestOf({ settings, components }: RenderedInstall): UntypedObject[] {
  return inApplyOrder([
    ...renderNamespaces(settings, components),
    ...components.flatMap((component) => component.objects),
  ]);
}

export async function readOperatorFile(file: string, context: CliContext): Promise<IstioOperatorSpec[]> {
  const specs: IstioOperatorSpec[] = [];
  const objects = await readYaml(file, context);
  if (objects.length === 0) context.err(`! ${file} is empty, so it changes none of the defaults\n`);
  for (const raw of objects) {
    const parsed = parseIstioOperator(raw);
    if (parsed.value === undefined) throw userError("install-invalid", formatIssuesOf(file, parsed.errors));
    for (const warning of parsed.warnings) context.err(`! ${file}: ${formatIssues([warning])}\n`);
    const owner = ownerOf(raw);
    const { spec } = parsed.value;
    specs.push(owner === undefined ? spec : { ...spec, values: { ...spec.values, ownerName: owner } });
  }
  return specs;
}

const longestLabelValue = 63;

/**
 * The name of an IstioOperator, which labels the objects that are installed from it. Undefined if it has none, or one
 * that is too long for a label.
 */
export function ownerOf({ metadata }: Partial<UntypedObject>): string | undefined {
  const name = metadata?.name;
  return typeof name === "string" && name !== "" && name.length <= longestLabelValue ? name : undefined;
}

/** Reads the documents of a YAML file. The error for wrong syntax names the line and column. */
export async function readYaml(file: string, context: CliContext): Promise<UntypedObject[]> {
  const text = await context.readFile(file);
  const source = sourceName(file);
  const objects: UntypedObject[] = [];
  for (const document of documentsForKubernetes(yaml, text)) {
    refuseSyntaxErrors(source, document);
    const raw = yamlValue(source, document) as UntypedObject | null;
    if (raw === null) continue;
    if (typeof raw !== "object" || Array.isArray(raw))
      throw userError(
        "file-invalid",
        `${source}: expected an object with fields, got ${Array.isArray(raw) ? "a list" : "a text or number"}`,
        { hint: "check that this is the file that you mean" },
      );
    objects.push(raw);
  }
  return objects;
}
