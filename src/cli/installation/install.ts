import type { Command } from "commander";
import { textAt, userError } from "../../base/index.ts";
import { imageTag, withoutDigest } from "../../api/images/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { configMapKind, deploymentKind } from "../../api/kubernetes/index.ts";
import { isNewerRelease, renderDefaultRevision } from "../../install/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import { installFlags, manifestOf, renderFromFlags, type InstallFlags, type RenderedInstall } from "./install-input.ts";
import {
  besideIstio,
  clusterDomain,
  clusterPlatform,
  networkObstacles,
  oldestMinor,
  otherDomain,
  serverVersion,
} from "../cluster-readiness/index.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";
import { durationOf } from "../flags.ts";
import { replacedIstio } from "./istio-workloads.ts";
import { leftoversToRemove, noteLeftovers, removeLeftovers } from "./leftovers.ts";
import { versionSkew } from "./version-skew.ts";

interface ApplyFlags extends InstallFlags {
  readonly skipConfirmation?: boolean;
  readonly readinessTimeout: string;
  readonly upgradeGateways?: boolean;
  readonly verify?: boolean;
  readonly prune?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export function installCommands(program: Command, context: CliContext): void {
  applyFlags(
    program
      .command("install")
      .alias("apply")
      .description("install a control plane, its node agent, ztunnel and gateways from a profile, files and flags"),
  )
    .option(
      "--force",
      "replace a newer rollout engine, and newer definitions of kinds, by the older ones of this release",
    )
    .action(async (flags: ApplyFlags) => await install(flags, context));
}

function applyFlags(command: Command): Command {
  return installFlags(command)
    .option("-y, --skip-confirmation", "do not ask for confirmation")
    .option("--readiness-timeout <time>", "how long to wait for each component to become ready: 90, 300s, 5m", "300s")
    .option("--upgrade-gateways", "move gateways of another revision to this revision, in place")
    .option("--verify", "check after the installation that all objects exist and are ready")
    .option(
      "--prune",
      "remove what an earlier installation of the same revision wrote and this one does not contain, such as a gateway",
    )
    .option("--dry-run", "print the changes, and write nothing");
}

/** `verify-install`: compares an installation's objects with the cluster's. istioctl before 1.24 had this verb. */
export function verifyInstallCommand(program: Command, context: CliContext): void {
  installFlags(
    program.command("verify-install").description("check that all objects of an installation exist and are ready"),
    "the revision to check (default: the revision in the spec)",
  ).action(async (flags: InstallFlags) => await verifyInstalled(flags, context));
}

async function verifyInstalled(flags: InstallFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const isBare = flags.filename.length === 0 && flags.set.length === 0;
  const profile = isBare ? await installedProfile(await renderFromFlags(flags, context), client) : undefined;
  await verify(
    await renderFromFlags(profile === undefined ? flags : { ...flags, set: [`profile=${profile}`] }, context),
    flags,
    context,
  );
}

/** The verb `upgrade` without a subcommand: installs this release over the one that runs. */
export function upgradeInPlaceCommand(command: Command, context: CliContext): void {
  applyFlags(command)
    .option(
      "--force",
      "allow upgrades across more minor releases than are supported, and replace a newer rollout engine and newer definitions of kinds",
    )
    .action(async (flags: ApplyFlags) => await upgrade(flags, context));
}

async function install(flags: ApplyFlags, context: CliContext): Promise<void> {
  const rendered = await renderFromFlags(flags, context);
  const timeoutMs = durationOf(flags.readinessTimeout, "--readiness-timeout");
  const client = await context.connect(flags);
  await warnOfOldCluster(client, context);
  await warnOfPlatform(rendered, client, context);
  await warnOfNetwork(rendered, client, context);
  await warnOfDomain(rendered, client, context);
  if (!(await warnOfIstio(rendered, client, context))) await warnOfNewerControlPlane(rendered, client, context);
  if (flags.dryRun === true) return await dryRun(rendered, flags, client, context);
  const doomed = flags.prune === true ? await leftoversToRemove(rendered, client, context) : [];
  await confirm({ text: question(rendered), doomed, otherwise: "nothing was installed" }, flags, context);
  await apply(rendered, flags, timeoutMs, client, context);
  await treatLeftovers(rendered, doomed, flags, client, context);
  context.out("✔ Installation complete\n");
  if (flags.verify === true) await verify(rendered, flags, context);
}

/** Warns about an API server that is too old, and continues: it may still support what the installation needs. */
async function warnOfOldCluster(client: KubeClient, { err }: CliContext): Promise<void> {
  const { text, supported } = await serverVersion(client);
  if (text !== "" && !supported)
    err(
      `! The API server runs Kubernetes ${text}, and the oldest supported version is 1.${oldestMinor}: upgrade the cluster\n`,
    );
}

/**
 * Warns if the nodes keep CNI's files in other directories than the installation assumes. The node agent would wait for
 * them forever.
 */
async function warnOfPlatform({ settings }: RenderedInstall, client: KubeClient, { err }: CliContext): Promise<void> {
  const { cni, values } = settings;
  const given = [["global", "platform"], ...["cniBinDir", "cniConfDir"].map((name) => ["cni", name])];
  if (cni.enabled !== true || given.some((path) => textAt(values, ...path) !== undefined)) return;
  const found = await clusterPlatform(client);
  if (found !== undefined)
    err(`! ${found.object} ${found.detail}, and no pod there would join the mesh: ${found.remedy}\n`);
}

async function warnOfNetwork({ settings }: RenderedInstall, client: KubeClient, { err }: CliContext): Promise<void> {
  if (settings.cni.enabled !== true) return;
  for (const { object, detail, remedy } of await networkObstacles(client, settings.namespace))
    err(`! ${object}: ${detail}: ${remedy}\n`);
}

async function warnOfDomain({ settings }: RenderedInstall, client: KubeClient, { err }: CliContext): Promise<void> {
  if (settings.pilot.enabled !== true) return;
  const chosen = textAt(settings.values, "global", "proxy", "clusterDomain") ?? "cluster.local";
  const domain = await clusterDomain(client);
  if (domain === undefined || domain === chosen) return;
  const { detail, remedy } = otherDomain(domain, chosen);
  err(`! ${detail}: ${remedy}\n`);
}

/**
 * Warns before an installation replaces workloads of Istio, whatever their release is: release numbers of Istio and
 * Serin cannot be compared.
 */
async function warnOfIstio(rendered: RenderedInstall, client: KubeClient, { err }: CliContext): Promise<boolean> {
  const found = await replacedIstio(rendered, client);
  if (found.length > 0)
    err(
      `! This installation replaces workloads of Istio in place: ${found.join(", ")}. To run Serin beside Istio, ${besideIstio}\n`,
    );
  return found.length > 0;
}

/**
 * Warns before an installation replaces a control plane with an older release. Proxies and namespaces may use features
 * that the older release lacks.
 */
async function warnOfNewerControlPlane(
  { settings }: RenderedInstall,
  client: KubeClient,
  { err }: CliContext,
): Promise<void> {
  if (settings.pilot.enabled !== true) return;
  const { name, version } = await runningControlPlane(settings, client);
  const release = withoutDigest(settings.tag);
  if (version === undefined || !isNewerRelease(version, release)) return;
  err(
    `! ${name} in namespace ${settings.namespace} runs release ${version}, and this installation replaces it by the older release ${release}. To keep it, install this release beside it (--revision ${release.replaceAll(".", "-")}), or use the command line of release ${version}. To go back on purpose: serin upgrade plan shows what changes\n`,
  );
}

/**
 * The Deployment of the revision's control plane, and its release. The release is undefined if the Deployment does not
 * exist, or if the caller may not read it. A caller who may not read it gets the error later: the installation lists
 * all missing permissions.
 */
async function runningControlPlane(
  { revision, namespace }: RenderedInstall["settings"],
  client: KubeClient,
): Promise<{ readonly name: string; readonly version: string | undefined }> {
  const name = revision === "" ? "istiod" : `istiod-${revision}`;
  const running = await undefinedIfForbidden(client.get(deploymentKind, name, namespace));
  if (running === undefined) return { name, version: undefined };
  const containers = running.spec?.template?.spec?.containers ?? [];
  const image = containers.find(({ name: container }) => container === "discovery")?.image ?? "";
  // An admission webhook may have replaced the tag with a digest. Then the label has the version.
  const version = imageTag(image) || running.metadata.labels?.["app.kubernetes.io/version"];
  return { name, version: version ?? "unknown" };
}

async function apply(
  rendered: RenderedInstall,
  flags: ApplyFlags,
  readyTimeoutMs: number,
  client: KubeClient,
  context: CliContext,
): Promise<void> {
  const { settings, components } = rendered;
  const defaultRevision = renderDefaultRevision(settings);
  await context.installer.apply({
    client,
    clock: context.clock,
    settings,
    components,
    ...(defaultRevision === undefined ? {} : { defaultRevision }),
    upgradeGateways: flags.upgradeGateways === true,
    replaceNewer: flags.force === true,
    identity: context.identity,
    onDone: (component) => context.out(`✔ ${component.done}\n`),
    onNote: (note) => context.err(`! ${note}\n`),
    onWait: context.waiting,
    readyTimeoutMs,
    signal: context.signal,
  });
}

/**
 * Names the objects that an earlier installation has left. With `--prune`, removes those that were announced before.
 */
async function treatLeftovers(
  rendered: RenderedInstall,
  doomed: readonly string[],
  flags: ApplyFlags,
  client: KubeClient,
  context: CliContext,
): Promise<void> {
  if (flags.prune === true) await removeLeftovers(doomed, rendered, client, context);
  else await noteLeftovers(rendered, client, context);
}

function question({ settings }: RenderedInstall): string {
  const revision = settings.revision === "" ? "" : ` as revision "${settings.revision}"`;
  return `This will install the Istio ${settings.tag} profile "${settings.profile}"${revision} into the cluster.`;
}

interface Question {
  readonly text: string;
  readonly doomed: readonly string[];
  readonly otherwise: string;
}

async function confirm({ text, doomed, otherwise }: Question, flags: ApplyFlags, context: CliContext): Promise<void> {
  const removal = doomed.length === 0 ? "" : `This will also remove:\n${doomed.map((name) => `  ${name}\n`).join("")}`;
  if (flags.skipConfirmation === true) return context.out(removal);
  if (await context.confirm(`${text}${removal === "" ? " " : ` ${removal}`}Proceed? (y/N) `)) return;
  context.err("Cancelled.\n");
  throw userError("cancelled", otherwise, { hint: "answer y, or pass --skip-confirmation" });
}

async function dryRun(
  rendered: RenderedInstall,
  { prune: prunes = false, force = false }: ApplyFlags,
  client: KubeClient,
  context: CliContext,
): Promise<void> {
  const { components, notes } = await context.installer.keepNewer(client, rendered.components, force);
  for (const note of notes) context.err(`! ${note}\n`);
  for (const object of manifestOf({ ...rendered, components })) {
    const change = await context.installer.plan(client, object);
    context.out(`${nameOf(object)} ${change} (dry run)\n`);
  }
  if (prunes)
    for (const name of await leftoversToRemove(rendered, client, context)) context.out(`  Would remove ${name}\n`);
  else await noteLeftovers(rendered, client, context);
  context.out("✔ Nothing was written\n");
}

function nameOf({ kind = "", metadata }: UntypedObject): string {
  return `${kind.toLowerCase()}/${metadata.name ?? ""}${metadata.namespace === undefined ? "" : ` in ${metadata.namespace}`}`;
}

async function verify(rendered: RenderedInstall, flags: ConnectionFlags, context: CliContext): Promise<void> {
  const { good, bad, absent, definitions, deployments } = await context.installer.verify(
    await context.connect(flags),
    manifestOf(rendered),
  );
  for (const line of good) context.out(`✔ ${line}\n`);
  if (absent > 0 && absent === good.length + bad.length)
    throw userError("problem-found", `none of the ${absent} objects of this installation exists`, {
      hint: "install it (serin install), or name the installation that you mean with -f, --set or --revision",
    });
  if (bad.length > 0) {
    throw userError(
      "problem-found",
      `the installation differs from the rendered objects:\n${bad.map((line) => `  ${line}`).join("\n")}`,
      { hint: "run serin install again, which completes a partial installation" },
    );
  }
  context.out(
    `Checked ${definitions} custom resource definitions\nChecked ${deployments} Istio Deployments\n✔ Istio is installed and verified successfully\n`,
  );
}

async function upgrade(flags: ApplyFlags, context: CliContext): Promise<void> {
  const rendered = await renderFromFlags(flags, context);
  const { settings } = rendered;
  const client = await context.connect(flags);
  const { name, version: from } = await runningControlPlane(settings, client);
  if (from === undefined) {
    throw userError("not-installed", `there is no control plane ${name} in namespace ${settings.namespace}`, {
      hint: "install one: serin install; or move between revisions: serin upgrade start -f <file>",
    });
  }
  const to = withoutDigest(settings.tag);
  const skew = versionSkew(from, to);
  if (skew !== undefined && flags.force !== true) throw skew;
  if (skew !== undefined) context.err(`! ${skew.message}: forced\n`);
  await refuseOtherProfile(rendered, flags, client);
  context.out(
    from === to
      ? `Istio ${from} is installed again in place\n`
      : `${isNewerRelease(from, to) ? "Downgrade" : "Upgrade"} of Istio ${from} to ${to} in place\n`,
  );
  if (flags.dryRun === true) return await dryRun(rendered, flags, client, context);
  const doomed = flags.prune === true ? await leftoversToRemove(rendered, client, context) : [];
  const text = "Proxies of this control plane lose it while its pods are replaced.";
  await confirm({ text, doomed, otherwise: "nothing was changed" }, flags, context);
  await apply(rendered, flags, durationOf(flags.readinessTimeout, "--readiness-timeout"), client, context);
  await treatLeftovers(rendered, doomed, flags, client, context);
  context.out(`✔ Upgrade complete: the control plane is at ${to}\n`);
  context.out(
    "Restart the workloads that have a sidecar, so that they get the new version: kubectl rollout restart deployment -n <namespace>\n",
  );
  if (flags.verify === true) await verify(rendered, flags, context);
}

/** Throws if an upgrade without files and flags would replace another profile with the default one. */
async function refuseOtherProfile(rendered: RenderedInstall, flags: ApplyFlags, client: KubeClient): Promise<void> {
  if (flags.filename.length > 0 || flags.set.length > 0) return;
  const { settings } = rendered;
  const before = await installedProfile(rendered, client);
  if (before === undefined || before === settings.profile) return;
  throw userError(
    "upgrade-profile",
    `the control plane was installed with profile ${before}, and the upgrade passes no profile`,
    {
      hint: `pass the files and flags of the installation again: serin upgrade --set profile=${before}`,
    },
  );
}

/** The profile of the revision's installation, which its ConfigMap of values records. */
async function installedProfile({ settings }: RenderedInstall, client: KubeClient): Promise<string | undefined> {
  const name = settings.revision === "" ? "values" : `values-${settings.revision}`;
  const text = (await client.get(configMapKind, name, settings.namespace))?.data?.["merged-values"];
  return text === undefined ? undefined : (JSON.parse(text) as { readonly profile?: string }).profile;
}
