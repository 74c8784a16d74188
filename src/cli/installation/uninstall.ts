import type { Command } from "commander";
import { istioLabels } from "../../api/istio/index.ts";
import { counted, firstNames, textAt, userError } from "../../base/index.ts";
import { keyOf } from "../../api/index.ts";
import { itemsIfServed, type KubeClient } from "../../kube/index.ts";
import { installedKinds } from "../../install/index.ts";
import { enrolledPods } from "./enrolled-pods.ts";
import { dependentsOf, type Dependents } from "./dependents.ts";
import { heldRollouts, listedRollouts, undoneBy, withoutUndo } from "./held-rollouts.ts";
import { manifestsFlag, ownerOf, readYaml, renderFromFlags } from "./install-input.ts";
import { listControlPlanes } from "../control-planes/pilots.ts";
import { remainsText } from "./remains.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";
import { collect, connectionFlags } from "../flags.ts";

interface UninstallFlags extends ConnectionFlags {
  readonly revision?: string;
  readonly filename: readonly string[];
  readonly set: readonly string[];
  readonly purge?: boolean;
  readonly force?: boolean;
  readonly skipConfirmation?: boolean;
  readonly dryRun?: boolean;
}

export function uninstallCommand(program: Command, context: CliContext): void {
  connectionFlags(
    program
      .command("uninstall")
      .description("remove one revision, or every revision and the shared objects")
      .option("-r, --revision <revision>", "the revision to remove")
      .option("-f, --filename <file>", "remove the objects that this IstioOperator file installed", collect, [])
      .option(
        "-s, --set <path=value>",
        "set a field of the spec, such as revision=canary; may be repeated",
        collect,
        [],
      )
      .option(...manifestsFlag)
      .option("--purge", "remove every revision and the shared objects")
      .option(
        "--force",
        "remove a revision that proxies, gateways or pods need, or everything while rollouts need their engine",
      )
      .option("--dry-run", "print the objects that would be removed, and remove nothing")
      .option("-v, --verbose", "has no effect; the command always names each removed object")
      .option("-y, --skip-confirmation", "do not ask for confirmation"),
  ).action(async (flags: UninstallFlags) => await uninstall(flags, context));
}

/**
 * The message for an uninstall that removed nothing. Given files, the command removes only objects with the label of
 * the files' IstioOperator, so that a file of another installation removes nothing.
 */
function nothingFor(target: What): string {
  const left = "! There was nothing to remove";
  if (target === "everything" || target.owner === undefined) return `${left}\n`;
  return `${left}: no object of revision ${target.revision} was installed from an IstioOperator "${target.owner}". To remove the revision: serin uninstall --revision ${target.revision}\n`;
}

type What = { readonly revision: string; readonly owner?: string } | "everything";

async function uninstall(flags: UninstallFlags, context: CliContext): Promise<void> {
  const target = await whatToRemove(flags, context);
  const client = await context.connect(flags);
  if (target === "everything") {
    await refuseWhileHeld(client, flags, context);
    const enrolled = await enrolledPods(client);
    if (enrolled.length > 0)
      context.err(`! These pods are in the mesh:\n${enrolled.map((line) => `  ${line}\n`).join("")}`);
    await nameControlPlanes(client, context);
    await askAboutEverything(client, flags, context);
  } else await askAboutRevision(client, target.revision, flags, context);
  const namespaces = new Set<string>();
  const removed = await context.installer.remove({
    client,
    selection: target,
    dryRun: flags.dryRun === true,
    onWarning: (text) => context.err(`! ${text}\n`),
    onWait: context.waiting,
    onRemoved: ({ kind = "", metadata }) => {
      if (metadata.labels?.[istioLabels.component] === "Pilot" && metadata.namespace !== undefined)
        namespaces.add(metadata.namespace);
      context.out(
        `  ${flags.dryRun === true ? "Would remove" : "Removed"} ${kind}:${metadata.namespace ?? ""}:${metadata.name ?? ""}.\n`,
      );
    },
  });
  const foreign = target === "everything" ? await nameForeign(client, context) : 0;
  if (flags.dryRun === true) context.out("✔ Nothing was removed (dry run)\n");
  else context.out(removed === 0 ? nothingFor(target) : "✔ Uninstall complete\n");
  // Print the remains only if no control plane of another installer is left: the printed commands would destroy its
  // mesh.
  if (target === "everything" && foreign === 0) context.out(await remainsText(client, namespaces));
}

/**
 * Throws while rollouts have finalizers, which only the engine removes. Without the engine, nobody could delete these
 * rollouts and their namespaces.
 */
async function refuseWhileHeld(client: KubeClient, flags: UninstallFlags, context: CliContext): Promise<void> {
  const held = await heldRollouts(client);
  if (held.length === 0) return;
  const needed = `only the rollout engine can undo these rollouts, and without it neither they nor their namespaces can be deleted: ${listedRollouts(held)}`;
  const remedy = `delete them first, and wait until they are gone: ${undoneBy(held)}`;
  if (flags.dryRun === true) return context.err(`! ${needed}. Before you uninstall, ${remedy}\n`);
  if (flags.force !== true)
    throw userError("in-use", needed, { hint: `${remedy}. --force removes the engine nevertheless` });
  context.err(`! ${needed}. To let one go without its undo: ${withoutUndo(held)}\n`);
}

/**
 * Names the control planes of other installers, such as an operator, and returns their number. They stay, because they
 * lack the label of installed objects.
 */
async function nameForeign(client: KubeClient, context: CliContext): Promise<number> {
  const foreign = (await listControlPlanes(client)).filter(
    ({ metadata }) => metadata.labels?.[istioLabels.component] === undefined,
  );
  if (foreign.length > 0)
    context.err(
      `! Another installer made these control planes, and they stay: ${foreign.map(keyOf).join(", ")}. Remove them with that installer, for example by deleting its object, or by helm uninstall. After that, serin uninstall --purge names what else stays in the cluster\n`,
    );
  return foreign.length;
}

/** Names the control planes that will be removed, with their images: one of them may be Istio's own. */
async function nameControlPlanes(client: KubeClient, context: CliContext): Promise<void> {
  const going = (await listControlPlanes(client)).filter(
    ({ metadata }) => metadata.labels?.[istioLabels.component] !== undefined,
  );
  if (going.length === 0) return;
  const names = going.map((plane) => {
    const image = plane.spec?.template?.spec?.containers?.find(({ name }) => name === "discovery")?.image;
    return image === undefined ? keyOf(plane) : `${keyOf(plane)} (${image})`;
  });
  context.err(
    going.length === 1
      ? `! --purge removes this control plane: ${firstNames(names, shownDependents)}\n`
      : `! --purge removes all of these control planes: ${firstNames(names, shownDependents)}. To remove one: serin uninstall --revision <revision>\n`,
  );
}

async function whatToRemove(flags: UninstallFlags, context: CliContext): Promise<What> {
  if (flags.purge === true) {
    const ignored = [
      ...(flags.revision === undefined ? [] : [`--revision ${flags.revision}`]),
      ...flags.filename.map((file) => `--filename ${file}`),
    ];
    if (ignored.length > 0)
      context.err(`! --purge removes every revision, so this has no effect: ${ignored.join(", ")}\n`);
    return "everything";
  }
  if (flags.revision !== undefined) return ofOwner(flags.revision, await ownerOfFiles(flags, context));
  const named = flags.set.find((text) => /^(spec\.)?(values\.)?revision=/.test(text));
  if (flags.filename.length > 0 || named !== undefined) {
    const { settings } = await renderFromFlags(flags, context);
    return ofOwner(settings.revision === "" ? "default" : settings.revision, textAt(settings.values, "ownerName"));
  }
  throw userError("argument-missing", "neither --revision nor --purge was given", {
    hint: "serin uninstall --revision 1-18-1 removes one control plane; --purge removes all",
  });
}

function ofOwner(revision: string, owner: string | undefined): What {
  return { revision, ...(owner === undefined ? {} : { owner }) };
}

/**
 * The name of the IstioOperator in the files. The last file wins, as in an installation. The files need not be valid,
 * because only this name is read.
 */
async function ownerOfFiles({ filename }: UninstallFlags, context: CliContext): Promise<string | undefined> {
  let owner: string | undefined;
  for (const file of filename) for (const raw of await readYaml(file, context)) owner = ownerOf(raw) ?? owner;
  return owner;
}

async function askAboutEverything(client: KubeClient, flags: UninstallFlags, context: CliContext): Promise<void> {
  if (flags.skipConfirmation === true || flags.dryRun === true) return;
  const items = await listControlPlanes(client);
  const lines: string[] = [];
  for (const revision of new Set(items.map(({ metadata }) => metadata.labels?.[istioLabels.revision] ?? "default"))) {
    for (const line of describe(await dependentsOf(client, revision)))
      lines.push(`  revision ${revision}, ${line.trim()}`);
  }
  if (lines.length > 0)
    context.err(`! These depend on the revision, and will lose their control plane:\n${lines.join("\n")}\n`);
  await ask("All Istio resources will be pruned from the cluster", context);
}

async function askAboutRevision(
  client: KubeClient,
  revision: string,
  flags: UninstallFlags,
  context: CliContext,
): Promise<void> {
  if (!(await exists(client, revision))) {
    const items = await listControlPlanes(client);
    const known = items.map(({ metadata }) => metadata.labels?.[istioLabels.revision] ?? "default");
    throw userError("revision-unknown", `there is no revision "${revision}" in the cluster`, {
      hint: known.length === 0 ? "no control plane is installed" : `installed: ${known.toSorted().join(", ")}`,
    });
  }
  if (flags.force !== true && flags.dryRun !== true) await refuseIfNeeded(client, revision, context);
  if (flags.skipConfirmation !== true && flags.dryRun !== true)
    await ask(`Revision ${revision} will be removed from the cluster`, context);
}

/** Whether any object has the revision's label. An installation that failed may have written only some. */
async function exists(client: KubeClient, revision: string): Promise<boolean> {
  for (const kind of installedKinds.toReversed()) {
    const labelSelector = `${istioLabels.revision}=${revision}`;
    if ((await itemsIfServed(client.list(kind, { labelSelector }))).length > 0) return true;
  }
  return false;
}

async function ask(text: string, context: CliContext): Promise<void> {
  if (await context.confirm(`${text}. Proceed? (y/N) `)) return;
  throw userError("cancelled", "nothing was removed", { hint: "answer y, or pass --skip-confirmation" });
}

const shownDependents = 10;

/** How long a control plane may take to notice that a proxy's pod has ended. */
const leavingMs = 10_000;
const leavingPollMs = 500;

/** What depends on the revision. If only proxies without a pod do, waits a short time for them to disappear. */
async function lastingDependents(
  client: KubeClient,
  revision: string,
  { clock, signal, waiting }: CliContext,
): Promise<Dependents> {
  const endsAtMs = clock.steadyMs() + leavingMs;
  for (;;) {
    const found = await dependentsOf(client, revision);
    const staying = { ...found, proxies: found.proxies.filter((id) => !found.podless.includes(id)) };
    if (found.podless.length === 0 || describe(staying).length > 0 || clock.steadyMs() >= endsAtMs) {
      waiting("", undefined);
      return found;
    }
    waiting(
      "",
      `waiting until the control plane forgets ${counted(found.podless.length, "proxy", "proxies")} without a pod`,
    );
    await clock.sleep(leavingPollMs, signal);
  }
}

async function refuseIfNeeded(client: KubeClient, revision: string, context: CliContext): Promise<void> {
  const dependents = await lastingDependents(client, revision, context);
  for (const warning of dependents.warnings) context.err(`! ${warning}\n`);
  const lines = describe(dependents);
  if (lines.length === 0) return;
  throw userError("in-use", `revision "${revision}" is still needed by\n${lines.join("\n")}`, {
    hint: "move them first (serin upgrade start), or pass --force",
  });
}

function describe({ tags, namespaces, proxies, gateways, pods }: Dependents): string[] {
  return Object.entries({ tags, namespaces, proxies, gateways, pods })
    .filter(([, names]) => names.length > 0)
    .map(([title, names]) => `  ${title}: ${firstNames(names, shownDependents)}`);
}
