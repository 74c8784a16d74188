import type { Command } from "commander";
import { stringify } from "yaml";
import { jsonText, userError } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { KindDefinition, UntypedObject } from "../../api/index.ts";
import { defaultValidatorName, istioLabels } from "../../api/istio/index.ts";
import {
  mutatingWebhookConfigurationKind,
  namespaceKind,
  serviceKind,
  validatingWebhookConfigurationKind,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import { deactivateDefault, installedKindOf, reactivateDefault, renderTag } from "../../install/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { manifestsFlag } from "./install-input.ts";
import { listControlPlanes } from "../control-planes/pilots.ts";
import type { CliContext, ConnectionFlags } from "../context.ts";
import { connectionFlags } from "../flags.ts";
import { fittedTable } from "../terminal/fitted-table.ts";

interface TagFlags extends ConnectionFlags {
  readonly revision?: string;
  readonly overwrite?: boolean;
  readonly skipConfirmation?: boolean;
  readonly autoInjectNamespaces?: boolean;
  readonly output?: string;
}

const fieldManager = "istio-operator";
const tagServiceName = (tag: string): string => `istiod-revision-tag-${tag}`;

export function tagCommands(program: Command, context: CliContext): void {
  const tag = program
    .command("tag")
    .description("manage revision tags: names that point to a revision and can move to another");
  for (const verb of ["set", "generate"] as const) {
    connectionFlags(
      tag
        .command(`${verb} <tag>`)
        .description(
          verb === "set" ? "create a tag, or move one with --overwrite" : "print the objects of a tag as YAML",
        )
        .option("-r, --revision <revision>", "the revision of the tag")
        .option("--overwrite", "move the tag if it points to another revision")
        .option(...manifestsFlag)
        .option(
          "--auto-inject-namespaces",
          "also inject namespaces without any injection label; only for the tag default",
        )
        .option("-y, --skip-confirmation", "do not ask for confirmation"),
    ).action(async (name: string, flags: TagFlags) => await set(name, flags, verb, context));
  }
  connectionFlags(
    tag
      .command("list")
      .alias("show")
      .description("list the tags, their revisions, and the namespaces that use them")
      .option("-o, --output <format>", "table, json or yaml", "table"),
  ).action(async (flags: TagFlags) => await list(flags, context));
  connectionFlags(
    tag
      .command("remove <tag>")
      .alias("delete")
      .description("remove a tag, and keep the control plane")
      .option("-y, --skip-confirmation", "do not ask for confirmation, even if namespaces use the tag"),
  ).action(async (name: string, flags: TagFlags) => await remove(name, flags, context));
}

async function set(tag: string, flags: TagFlags, verb: "set" | "generate", context: CliContext): Promise<void> {
  if (flags.revision === undefined)
    throw userError("argument-missing", `tag ${verb} needs --revision, the revision to which "${tag}" points`, {
      hint: `serin tag ${verb} ${tag} --revision <revision>`,
    });
  if (!/^[a-z0-9]([-a-z0-9]{0,55}[a-z0-9])?$/.test(tag))
    throw userError("argument-invalid", `a tag must be lower-case letters, digits and dashes, got "${tag}"`);
  const client = await context.connect(flags);
  const revision = flags.revision;
  const injectors = await injectorsOf(client);
  const own = injectors.find(
    ({ metadata: { labels = {} } }) =>
      labels[istioLabels.tag] === undefined && labels[istioLabels.revision] === revision,
  );
  if (own === undefined) throw await unknownRevision(client, revision);
  if (
    tag !== "default" &&
    injectors.some(
      ({ metadata: { labels = {} } }) => labels[istioLabels.tag] === undefined && labels[istioLabels.revision] === tag,
    )
  ) {
    throw userError("name-taken", `the name "${tag}" is taken by a revision`, {
      hint: "choose another name",
    });
  }
  const existing = tagsNamed(injectors, tag);
  const leadsTo = existing[0]?.metadata.labels?.[istioLabels.revision];
  if (verb === "set" && leadsTo !== undefined && leadsTo !== revision && flags.overwrite !== true) {
    throw userError("name-taken", `the tag "${tag}" already points to revision "${leadsTo}"`, {
      hint: `move it: serin tag set ${tag} --revision ${revision} --overwrite`,
    });
  }
  const objects = renderTag({
    tag,
    revision,
    namespace: namespaceOf(own),
    version: context.version,
    clientConfig: { ...own.webhooks?.[0]?.clientConfig },
    injectEverybody: flags.autoInjectNamespaces === true,
  });
  if (verb === "generate") {
    for (const object of objects) context.out(`---\n${stringify(object, writtenForKubernetes)}`);
    return;
  }
  for (const object of objects) await client.apply(installedKindOf(object), object, { fieldManager, force: true });
  // After a move to a control plane in another namespace, the old webhooks have other names, and the old Service is in
  // the old namespace.
  for (const { kind, name, namespace } of existing.flatMap((found) => tagObjects(found, tag))) {
    const isMoved = objects.some(
      ({ kind: written, metadata }) =>
        written === kind.kind && metadata.name === name && metadata.namespace === namespace,
    );
    if (!isMoved) await client.delete(kind, name, namespace);
  }
  if (tag === "default" && revision !== "default") await patchUnnamed(client, deactivateDefault);
  const done = leadsTo === undefined ? "created" : leadsTo === revision ? "written again" : "moved";
  context.out(
    `Revision tag "${tag}" ${done}, referencing control plane revision "${revision}". To enable injection using this\n` +
      `revision tag, use 'kubectl label namespace <NAMESPACE> istio.io/rev=${tag}'\n`,
  );
}

async function unknownRevision(client: KubeClient, revision: string): Promise<Error> {
  const items = await listControlPlanes(client);
  const known = items.map(({ metadata }) => metadata.labels?.[istioLabels.revision] ?? "default").toSorted();
  return userError("revision-unknown", `cannot modify tag: there is no revision "${revision}" in the cluster`, {
    hint: known.length === 0 ? "install one: serin install --revision <revision>" : `installed: ${known.join(", ")}`,
  });
}

async function injectorsOf(client: KubeClient): Promise<readonly WebhookConfiguration[]> {
  return (await client.list(mutatingWebhookConfigurationKind, { labelSelector: "app=sidecar-injector" })).items;
}

/**
 * The webhook configurations of a tag. There are several if another program moved the tag to a control plane in another
 * namespace.
 */
function tagsNamed(injectors: readonly WebhookConfiguration[], tag: string): readonly WebhookConfiguration[] {
  return injectors.filter(({ metadata: { labels = {} } }) => labels[istioLabels.tag] === tag);
}

function namespaceOf({ webhooks }: WebhookConfiguration): string {
  return webhooks?.[0]?.clientConfig.service?.namespace ?? "istio-system";
}

interface TagObject {
  readonly kind: KindDefinition;
  readonly name: string;
  readonly namespace?: string;
}

function tagObjects(webhooks: WebhookConfiguration, tag: string): readonly TagObject[] {
  return [
    { kind: mutatingWebhookConfigurationKind, name: webhooks.metadata.name ?? "" },
    { kind: serviceKind, name: tagServiceName(tag), namespace: namespaceOf(webhooks) },
  ];
}

/**
 * Changes the webhooks of the control plane that has no revision name, because only one control plane may inject by
 * default.
 */
async function patchUnnamed(client: KubeClient, change: typeof deactivateDefault): Promise<void> {
  for (const { metadata, webhooks = [] } of await injectorsOf(client)) {
    if (metadata.labels?.[istioLabels.tag] !== undefined || metadata.labels?.[istioLabels.revision] !== "default")
      continue;
    const changed = change(webhooks as unknown as Readonly<Record<string, unknown>>[]);
    await client.patchMerge(
      mutatingWebhookConfigurationKind,
      metadata.name ?? "",
      undefined,
      { webhooks: changed },
      { fieldManager },
    );
  }
}

interface TagDescription {
  readonly tag: string;
  readonly revision: string;
  readonly namespaces: readonly string[];
}

async function list(flags: TagFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const tags: TagDescription[] = [];
  for (const { metadata } of await injectorsOf(client)) {
    const tag = metadata.labels?.[istioLabels.tag];
    if (tag !== undefined)
      tags.push({
        tag,
        revision: metadata.labels?.[istioLabels.revision] ?? "default",
        namespaces: await namespacesOf(client, tag),
      });
  }
  tags.sort((a, b) => a.tag.localeCompare(b.tag));
  if (flags.output === "json") context.out(jsonText(tags));
  else if (flags.output === "yaml") context.out(stringify(tags));
  else if (flags.output !== undefined && flags.output !== "table")
    throw userError("argument-invalid", `-o ${flags.output} is not supported: expected table, json or yaml`);
  else if (tags.length === 0) context.out("No Istio revision tag found\n");
  else
    context.out(
      fittedTable(
        ["TAG", "REVISION", "NAMESPACES"],
        tags.map(({ tag, revision, namespaces }) => [tag, revision, namespaces.join(",")]),
        { columns: context.columns() },
      ),
    );
}

async function namespacesOf(client: KubeClient, tag: string): Promise<string[]> {
  const { items } = await client.list(namespaceKind);
  return items
    .filter(
      ({ metadata: { labels = {} } }) =>
        (labels[istioLabels.injection] === undefined && labels[istioLabels.revision] === tag) ||
        (tag === "default" && labels[istioLabels.injection] === "enabled"),
    )
    .map(({ metadata }) => metadata.name ?? "")
    .toSorted();
}

async function remove(tag: string, flags: TagFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const found = tagsNamed(await injectorsOf(client), tag);
  if (found.length === 0)
    throw userError("revision-unknown", `there is no tag "${tag}"`, { hint: "serin tag list shows the tags" });
  const users = await namespacesOf(client, tag);
  if (users.length > 0 && flags.skipConfirmation !== true) {
    const text = `! These namespaces use the tag "${tag}": ${users.join(", ")}. Their new pods will get no sidecar. Proceed? (y/N) `;
    if (!(await context.confirm(text)))
      throw userError("cancelled", "the tag was not removed", { hint: "answer y, or pass --skip-confirmation" });
  }
  for (const { kind, name, namespace } of found.flatMap((webhooks) => tagObjects(webhooks, tag)))
    await client.delete(kind, name, namespace);
  if (tag === "default") await removeDefault(client);
  context.out(`Revision tag ${tag} removed\n`);
}

/**
 * Removes the default validator, which belongs to the tag. If there is a control plane without a revision name, makes
 * the validator call that one instead.
 */
async function removeDefault(client: KubeClient): Promise<void> {
  const unnamed = (await injectorsOf(client)).find(
    ({ metadata: { labels = {} } }) =>
      labels[istioLabels.tag] === undefined && labels[istioLabels.revision] === "default",
  );
  if (unnamed === undefined) {
    await client.delete(validatingWebhookConfigurationKind, defaultValidatorName);
    return;
  }
  await patchUnnamed(client, reactivateDefault);
  const clientConfig = { ...unnamed.webhooks?.[0]?.clientConfig };
  const objects: UntypedObject[] = renderTag({
    tag: "default",
    revision: "default",
    namespace: namespaceOf(unnamed),
    version: "",
    clientConfig,
    injectEverybody: false,
  });
  // Skip the webhooks of the tag, because the control plane's own webhooks inject.
  for (const object of objects.filter(({ kind }) => kind !== "MutatingWebhookConfiguration"))
    await client.apply(installedKindOf(object), object, { fieldManager, force: true });
}
