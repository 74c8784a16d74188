import { firstNames, messageOf, textAt } from "../../base/index.ts";
import { keyOf, type KubernetesObject, type UntypedObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { deploymentKind, serviceKind } from "../../api/kubernetes/index.ts";
import { isMovedToRevision } from "../../api/serin/field-managers/index.ts";
import { renderDefaultRevision, revisionLabel } from "../../install/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { manifestOf, type RenderedInstall } from "./install-input.ts";

/** The annotation with which helm marks the objects of its releases. */
const helmRelease = "meta.helm.sh/release-name";
const shownLeftovers = 10;

/**
 * Objects that an earlier installation of the same revision and IstioOperator name wrote, and that this installation
 * does not contain. For example, the ingress gateway is left if the profile changes from `default` to `minimal`.
 */
interface Leftovers {
  /** The names of the objects, workloads first. */
  readonly names: readonly string[];
  /**
   * Another namespace with a control plane of this revision. Labels do not show which of the two an object belongs to.
   */
  readonly otherNamespace?: string;
  /** Why `names` may be incomplete. */
  readonly fault?: unknown;
}

/** Names the leftovers on standard error. A fault is only noted, because the installation itself is complete. */
export async function noteLeftovers(rendered: RenderedInstall, client: KubeClient, context: CliContext): Promise<void> {
  const { names, fault } = await findLeftovers(rendered, client, context);
  if (names.length > 0) {
    context.err(
      `! An earlier installation of revision "${revisionLabel(rendered.settings)}" also wrote ${firstNames(names, shownLeftovers)}. They are not part of this one, and stay. To remove them, run the same command with --prune\n`,
    );
  }
  if (fault !== undefined)
    context.err(`! Not all objects of earlier installations could be listed: ${messageOf(fault)}\n`);
}

/** The names of the leftovers to remove. Throws if not all of them can be found. */
export async function leftoversToRemove(
  rendered: RenderedInstall,
  client: KubeClient,
  context: CliContext,
): Promise<readonly string[]> {
  const { names, otherNamespace, fault } = await findLeftovers(rendered, client, context);
  if (fault !== undefined) throw fault;
  if (otherNamespace !== undefined)
    context.err(
      `! --prune removes nothing: revision "${revisionLabel(rendered.settings)}" also has a control plane in namespace ${otherNamespace}, and no label tells the objects of the two apart. Give one of the two a revision of its own\n`,
    );
  return names;
}

/** Removes the named leftovers. Keeps others that have appeared since the names were announced. */
export async function removeLeftovers(
  names: readonly string[],
  rendered: RenderedInstall,
  client: KubeClient,
  context: CliContext,
): Promise<void> {
  if (names.length === 0) return;
  const stays = keptBy(rendered);
  const doomed = new Set(names);
  await context.installer.remove({
    client,
    selection: { labelSelector: selectorOf(rendered), revision: revisionLabel(rendered.settings) },
    keeps: (object) => !doomed.has(nameOf(object)) || stays(object),
    onWarning: (text) => context.err(`! ${text}\n`),
    onWait: context.waiting,
    onRemoved: (object) => context.out(`  Removed ${nameOf(object)}\n`),
  });
}

/**
 * Finds the leftovers. Finds none for an installation without a control plane, which only adds to another installation.
 */
async function findLeftovers(rendered: RenderedInstall, client: KubeClient, context: CliContext): Promise<Leftovers> {
  if (rendered.settings.pilot.enabled !== true) return { names: [] };
  const found: string[] = [];
  const names = (): string[] => found.toSorted(workloadsFirst);
  try {
    const otherNamespace = await otherNamespaceOf(rendered, client);
    if (otherNamespace !== undefined) return { names: [], otherNamespace };
    await context.installer.remove({
      client,
      selection: { labelSelector: selectorOf(rendered), revision: revisionLabel(rendered.settings) },
      keeps: keptBy(rendered),
      dryRun: true,
      onRemoved: (object) => void found.push(nameOf(object)),
    });
    return { names: names() };
  } catch (fault) {
    return { names: names(), fault };
  }
}

/**
 * Another namespace with a control plane of this revision. A control plane outside the cluster has only a Service in
 * it.
 */
async function otherNamespaceOf(rendered: RenderedInstall, client: KubeClient): Promise<string | undefined> {
  const labelSelector = `app=istiod,${istioLabels.revision}=${revisionLabel(rendered.settings)}`;
  const { items: deployments } = await client.list(deploymentKind, { labelSelector });
  const { items: services } = await client.list(serviceKind, { labelSelector });
  return [...deployments, ...services]
    .map(({ metadata }) => metadata.namespace)
    .find((namespace) => namespace !== rendered.settings.namespace);
}

function selectorOf(rendered: RenderedInstall): string {
  const owner = textAt(rendered.settings.values, "ownerName") ?? "unknown";
  return [
    istioLabels.component,
    `${istioLabels.revision}=${revisionLabel(rendered.settings)}`,
    `${istioLabels.owningResource}=${owner}`,
    // Objects that an operator in the cluster installs have this label.
    `!${istioLabels.owningResourceNamespace}`,
  ].join(",");
}

/**
 * Returns whether to keep an object. Keeps revision tags, because `serin tag set` writes them too. Keeps a gateway that
 * a MeshUpgrade has moved to this revision, because the installation of another revision wrote it.
 */
function keptBy(rendered: RenderedInstall): (object: UntypedObject) => boolean {
  const { validator, tag, service } = renderDefaultRevision(rendered.settings) ?? {};
  const wanted = [...manifestOf(rendered), validator, tag, service].flatMap((object) =>
    object === undefined ? [] : [nameOf(object)],
  );
  const names = new Set(wanted);
  return (object) =>
    names.has(nameOf(object)) ||
    object.metadata.labels?.[istioLabels.tag] !== undefined ||
    object.metadata.labels?.[istioLabels.owningResourceNotPruned] === "true" ||
    isMovedToRevision(object) ||
    object.metadata.annotations?.[helmRelease] !== undefined;
}

function nameOf(object: KubernetesObject): string {
  return `${object.kind ?? ""} ${keyOf(object)}`;
}

/** Orders names: workloads first, because users recognise them, and the other objects belong to them. */
function workloadsFirst(a: string, b: string): number {
  const rank = (name: string): number => (/^(Deployment|DaemonSet) /.test(name) ? 0 : 1);
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}
