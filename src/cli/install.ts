import type { Command } from "commander";
import { parseAllDocuments, stringify } from "yaml";
import { SerinError, userError } from "../base/index.ts";
import { formatIssues, type UntypedObject } from "../api/index.ts";
import { parseIstioOperator, type IstioOperatorSpec } from "../api/istio/index.ts";
import { renderDefaultTag, renderInstall, resolveSettings, type InstallSettings, type RenderedComponent } from "../install/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { dependentsOf } from "./dependents.ts";
import type { CliContext, ConnectionFlags } from "./context.ts";

interface InstallFlags extends ConnectionFlags {
  readonly filename: readonly string[];
  readonly set: readonly string[];
  readonly skipConfirmation?: boolean;
  readonly revision?: string;
  readonly readinessTimeout: string;
}

/** Images of a release are named as Istio's are. */
const defaultHub = "docker.io/istio";

export function installCommands(program: Command, context: CliContext): void {
  manifestFlags(
    program
      .command("install")
      .description("install a control plane, its node agent, ztunnel and gateways, from a profile, files and flags")
      .option("-y, --skip-confirmation", "do not ask")
      .option("--readiness-timeout <seconds>", "how long each component may take to become ready", "120"),
  ).action(async (flags: InstallFlags) => await install(flags, context));

  const manifest = program.command("manifest").description("what an installation would write");
  manifestFlags(manifest.command("generate").description("print the objects of an installation as YAML")).action(async (flags: InstallFlags) => {
    const { components } = await render(flags, context);
    for (const object of components.flatMap((component) => component.objects)) context.out(`---\n${stringify(object)}`);
  });

  program
    .command("uninstall")
    .description("remove one revision, or everything that installations wrote")
    .option("--revision <revision>", "the revision to remove")
    .option("--purge", "remove every revision and what they share")
    .option("--force", "remove the revision even if proxies, gateways or pods depend on it")
    .option("-y, --skip-confirmation", "do not ask")
    .option("--kubeconfig <path>", "kubeconfig file")
    .option("--context <name>", "context of the kubeconfig")
    .action(async (flags: UninstallFlags) => await uninstall(flags, context));
}

function manifestFlags(command: Command): Command {
  const collect = (value: string, previous: readonly string[]): readonly string[] => [...previous, value];
  return command
    .option("-f, --filename <file>", "an IstioOperator file; may be repeated, later ones win", collect, [])
    .option("-s, --set <path=value>", "a field of the spec, such as profile=ambient; may be repeated", collect, [])
    .option("-r, --revision <revision>", "the revision to install")
    .option("--kubeconfig <path>", "kubeconfig file")
    .option("--context <name>", "context of the kubeconfig");
}

async function install(flags: InstallFlags, context: CliContext): Promise<void> {
  const { settings, components } = await render(flags, context);
  if (flags.skipConfirmation !== true && !(await context.confirm(question(settings)))) {
    context.err("Cancelled.\n");
    throw userError("cancelled", "nothing was installed", { hint: "answer y, or pass --skip-confirmation" });
  }
  const defaultTag = renderDefaultTag(settings);
  await context.installer.apply({
    client: await context.connect(flags),
    clock: context.clock,
    namespace: settings.namespace,
    components,
    ...(defaultTag === undefined ? {} : { defaultTag }),
    onDone: (component) => context.out(`✔ ${component.done}\n`),
    readyTimeoutMs: Number(flags.readinessTimeout) * 1000,
    signal: context.signal,
  });
  context.out("✔ Installation complete\n");
}

function question(settings: InstallSettings): string {
  const revision = settings.revision === "" ? "" : ` as revision "${settings.revision}"`;
  return `This will install the Istio ${settings.tag} profile "${settings.profile}"${revision} into the cluster. Proceed? (y/N) `;
}

async function render(flags: InstallFlags, context: CliContext): Promise<{ settings: InstallSettings; components: readonly RenderedComponent[] }> {
  const specs: IstioOperatorSpec[] = [];
  for (const file of flags.filename) specs.push(...(await readOperatorFile(file, context)));
  const setFlags = flags.revision === undefined ? flags.set : [...flags.set, `revision=${flags.revision}`];
  const parsed = resolveSettings({ specs, setFlags }, { hub: defaultHub, tag: context.version });
  if (parsed.value === undefined) throw userError("install-invalid", formatIssues(parsed.errors));
  for (const warning of parsed.warnings) context.err(`! ${formatIssues([warning])}\n`);
  // A megabyte of definitions, which only the base installs.
  const customResources = parsed.value.base.enabled === true ? await context.customResources() : { istio: [], rollout: [] };
  const { components, errors } = renderInstall(parsed.value, customResources);
  if (errors.length > 0) throw userError("install-invalid", formatIssues(errors));
  return { settings: parsed.value, components };
}

async function readOperatorFile(file: string, context: CliContext): Promise<IstioOperatorSpec[]> {
  let text: string;
  try {
    text = await context.readFile(file);
  } catch (cause) {
    throw cause instanceof SerinError ? cause : userError("file-unreadable", `${file} cannot be read`, { cause });
  }
  const specs: IstioOperatorSpec[] = [];
  for (const document of parseAllDocuments(text)) {
    const [syntax] = document.errors;
    if (syntax !== undefined) {
      const line = syntax.linePos?.[0].line;
      throw userError("yaml-invalid", `${file}${line === undefined ? "" : `:${line}`}: ${syntax.message.split("\n")[0] ?? "is not YAML"}`);
    }
    const raw = document.toJS() as UntypedObject | null;
    if (raw === null) continue;
    const parsed = parseIstioOperator(raw);
    if (parsed.value === undefined) throw userError("install-invalid", `${file}: ${formatIssues(parsed.errors)}`);
    for (const warning of parsed.warnings) context.err(`! ${file}: ${formatIssues([warning])}\n`);
    specs.push(parsed.value.spec);
  }
  return specs;
}

interface UninstallFlags extends ConnectionFlags {
  readonly revision?: string;
  readonly purge?: boolean;
  readonly force?: boolean;
  readonly skipConfirmation?: boolean;
}

async function uninstall(flags: UninstallFlags, context: CliContext): Promise<void> {
  if (flags.purge !== true && flags.revision === undefined) {
    throw userError("uninstall-what", "neither --revision nor --purge was given", {
      hint: "serin uninstall --revision 1-18-1 removes one control plane; --purge removes all",
    });
  }
  const what = flags.purge === true ? "everything" : { revision: flags.revision ?? "" };
  const text = what === "everything" ? "All Istio resources will be pruned from the cluster" : `Revision ${what.revision} will be removed from the cluster`;
  if (flags.skipConfirmation !== true && !(await context.confirm(`${text}. Proceed? (y/N) `))) {
    throw userError("cancelled", "nothing was removed", { hint: "answer y, or pass --skip-confirmation" });
  }
  const client = await context.connect(flags);
  if (what !== "everything" && flags.force !== true) await refuseIfNeeded(client, what.revision, context);
  const removed = await context.installer.remove({
    client,
    what,
    onRemoved: ({ kind = "", metadata }) => context.out(`  Removed ${kind}:${metadata.namespace ?? ""}:${metadata.name ?? ""}.\n`),
  });
  context.out(removed === 0 ? "! Nothing was there to remove\n" : "✔ Uninstall complete\n");
}

const shownDependents = 10;

async function refuseIfNeeded(client: KubeClient, revision: string, context: CliContext): Promise<void> {
  const { proxies, gateways, pods, warnings } = await dependentsOf(client, revision);
  for (const warning of warnings) context.err(`! ${warning}\n`);
  const groups = { proxies, gateways, pods };
  const lines = Object.entries(groups).filter(([, names]) => names.length > 0).map(([what, names]) => `  ${what}: ${listed(names)}`);
  if (lines.length === 0) return;
  throw userError("revision-in-use", `revision "${revision}" is still needed by\n${lines.join("\n")}`, {
    hint: "move them first (serin upgrade start), or pass --force",
  });
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, shownDependents).join(", ");
  return names.length <= shownDependents ? shown : `${shown} and ${names.length - shownDependents} more`;
}
