import { textAt } from "../../base/index.ts";
import { keyOf, type KubernetesObject, type UntypedObject } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { renderDefaultRevision } from "../../install/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { manifestOf, type RenderedInstall } from "./install-input.ts";

/** Helm annotates the objects of its releases. */
const helmRelease = "meta.helm.sh/release-name";
const shownLeftovers = 10;

/**
 * Finds what an earlier installation of the same revision, from a file of the same name, wrote and this installation
 * does not contain: for example the ingress gateway when the profile changes from `default` to `minimal`. With `prunes`
 * removes it, else names it. An installation without a control plane adds to another one, so it leaves nothing over.
 */
export async function treatLeftovers(
  rendered: RenderedInstall,
  client: KubeClient,
  { prunes, dryRun = false }: { readonly prunes: boolean; readonly dryRun?: boolean },
  context: CliContext,
): Promise<void> {
  if (rendered.settings.pilot.enabled !== true) return;
  const found: KubernetesObject[] = [];
  const isRemoval = prunes && !dryRun;
  try {
    await context.installer.remove({
      client,
      selection: { labelSelector: selectorOf(rendered) },
      keeps: keptBy(rendered),
      dryRun: !isRemoval,
      onWait: (text) => context.err(`! ${text}\n`),
      onRemoved: (object) => {
        found.push(object);
        if (prunes) context.out(`  ${isRemoval ? "Removed" : "Would remove"} ${nameOf(object)}\n`);
      },
    });
  } catch (error) {
    // An account that may install need not be allowed to list every kind that an installation may have.
    if (prunes || !isKubeCode(error, "forbidden")) throw error;
  }
  if (prunes || found.length === 0) return;
  const names = found.map(nameOf).toSorted(workloadsFirst);
  const shown = names.slice(0, shownLeftovers).join(", ");
  const more = names.length > shownLeftovers ? ` and ${names.length - shownLeftovers} more` : "";
  context.err(
    `! An earlier installation of revision "${revisionOf(rendered)}" also wrote ${shown}${more}. They are not part of this one, and stay. To remove them, run the same command with --prune\n`,
  );
}

function selectorOf(rendered: RenderedInstall): string {
  const owner = textAt(rendered.settings.values, "ownerName") ?? "unknown";
  return [
    "operator.istio.io/component",
    `${istioLabels.revision}=${revisionOf(rendered)}`,
    `${istioLabels.owningResource}=${owner}`,
    // The objects of an operator in the cluster have it.
    `!${istioLabels.owningResourceNamespace}`,
  ].join(",");
}

function revisionOf({ settings }: RenderedInstall): string {
  return settings.revisionLabel ?? (settings.revision === "" ? "default" : settings.revision);
}

/** Revision tags stay, because `serin tag set` writes them too. */
function keptBy(rendered: RenderedInstall): (object: UntypedObject) => boolean {
  const { validator, tag, service } = renderDefaultRevision(rendered.settings) ?? {};
  const wanted = [...manifestOf(rendered), validator, tag, service].flatMap((object) =>
    object === undefined ? [] : [nameOf(object)],
  );
  const names = new Set(wanted);
  return (object) =>
    names.has(nameOf(object)) ||
    object.metadata.labels?.[istioLabels.tag] !== undefined ||
    object.metadata.annotations?.[helmRelease] !== undefined;
}

function nameOf(object: KubernetesObject): string {
  return `${object.kind ?? ""} ${keyOf(object)}`;
}

/** A person knows the workloads. The other objects belong to them. */
function workloadsFirst(a: string, b: string): number {
  const rank = (name: string): number => (/^(Deployment|DaemonSet) /.test(name) ? 0 : 1);
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}
