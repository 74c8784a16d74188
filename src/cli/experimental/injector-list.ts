import { matchesLabelSelector } from "../../api/index.ts";
import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import {
  configMapKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  podKind,
  type ConfigMap,
  type Namespace,
  type Pod,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, type CommonFlags } from "../flags.ts";
import { renderTable } from "../terminal/table.ts";

const systemNamespaces = new Set(["kube-system", "kube-public", "kube-node-lease", "local-path-storage"]);
const injectedHooks = new Set(["rev.namespace.sidecar-injector.istio.io", "namespace.sidecar-injector.istio.io"]);

export async function listInjectors(flags: CommonFlags, context: CliContext): Promise<void> {
  const client = await context.connect(flags);
  const [{ items: all }, { items: found }, { items: pods }, { items: maps }] = await Promise.all([
    client.list(namespaceKind),
    client.list(mutatingWebhookConfigurationKind, { labelSelector: "app=sidecar-injector" }),
    client.list(podKind, flags.namespace === undefined ? {} : { namespace: flags.namespace }),
    client.list(configMapKind, { namespace: istioNamespaceOf(flags), labelSelector: istioLabels.revision }),
  ]);
  const hooks = found.toSorted(byName);
  const namespaces = all.filter((namespace) => isApplications(namespace, flags)).toSorted(byName);
  context.out(namespaceTable(namespaces, hooks, pods));
  context.out("\n");
  context.out(hookTable(namespaces, hooks, new Map(maps.flatMap((map) => imageOf(map)))));
}

type Named = { readonly metadata: { readonly name?: string } };

function byName(a: Named, b: Named): number {
  return (a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1;
}

function isApplications({ metadata: { name = "", labels = {} } }: Namespace, flags: CommonFlags): boolean {
  if (flags.namespace !== undefined) return name === flags.namespace;
  return (
    !systemNamespaces.has(name) && name !== istioNamespaceOf(flags) && labels[istioLabels.dataplaneMode] !== "ambient"
  );
}

interface PodCount {
  pods: number;
  disabled: number;
  needsRestart: number;
}

function namespaceTable(
  namespaces: readonly Namespace[],
  hooks: readonly WebhookConfiguration[],
  pods: readonly Pod[],
): string {
  const rows = namespaces.flatMap((namespace) => {
    const name = namespace.metadata.name ?? "";
    const revision = injectedRevision(namespace, hooks);
    const counts = countPods(
      pods.filter(({ metadata }) => metadata.namespace === name),
      revision,
    );
    if (counts.size === 0 && revision !== "") return [[name, revision, "<no pods>"]];
    return [...counts].map(([injected, count]) => [name, revision, countText(injected, count)]);
  });
  return rows.length === 0
    ? "No Istio injected namespaces present.\n"
    : renderTable(["NAMESPACE", "ISTIO-REVISION", "POD-REVISIONS"], rows, 1);
}

/**
 * The revision of the first webhook that selects the namespace. MISSING if the namespace's labels name a revision that
 * no webhook has.
 */
function injectedRevision({ metadata: { labels = {} } }: Namespace, hooks: readonly WebhookConfiguration[]): string {
  const hook = hooks.find(({ webhooks = [] }) =>
    webhooks.some(
      ({ name, namespaceSelector }) => injectedHooks.has(name) && matchesLabelSelector(namespaceSelector, labels),
    ),
  );
  if (hook !== undefined) return hook.metadata.labels?.[istioLabels.revision] ?? "";
  const named = labels[istioLabels.revision];
  if (named !== undefined) return `MISSING/${named}`;
  return labels[istioLabels.injection] === "enabled" ? "MISSING/istio-injection" : "";
}

const notInjected = "<non-Istio>";

function countPods(pods: readonly Pod[], expected: string): ReadonlyMap<string, PodCount> {
  const counts = new Map<string, PodCount>();
  for (const { metadata } of pods) {
    const { labels = {}, annotations = {} } = metadata;
    const revision =
      annotations[istioAnnotations.sidecarStatus] === undefined ? "" : (annotations[istioLabels.revision] ?? "default");
    const count = counts.get(revision) ?? { pods: 0, disabled: 0, needsRestart: 0 };
    counts.set(revision, count);
    count.pods += 1;
    if ((labels[istioLabels.inject] ?? annotations[istioLabels.inject] ?? "").toLowerCase() === "false")
      count.disabled += 1;
    else if (revision !== expected) count.needsRestart += 1;
  }
  return counts;
}

function countText(revision: string, { pods, disabled, needsRestart }: PodCount): string {
  const disabledText = disabled === 0 ? "" : ` (injection disabled: ${disabled})`;
  return `${revision === "" ? notInjected : revision}: ${pods}${disabledText}${needsRestart === 0 ? "" : ` NEEDS RESTART: ${needsRestart}`}`;
}

function hookTable(
  namespaces: readonly Namespace[],
  hooks: readonly WebhookConfiguration[],
  images: ReadonlyMap<string, string>,
): string {
  if (hooks.length === 0) return "No Istio injection hooks present.\n";
  const rows = hooks.flatMap(({ metadata, webhooks = [] }) => {
    const revision = metadata.labels?.[istioLabels.revision] ?? "";
    const own = webhooks.filter(({ name }) => injectedHooks.has(name));
    const selected = namespaces.filter((namespace) =>
      own.some(({ namespaceSelector }) => matchesLabelSelector(namespaceSelector, namespace.metadata.labels)),
    );
    const names =
      selected.length === 0 ? ["DOES NOT AUTOINJECT"] : selected.map((namespace) => namespace.metadata.name ?? "");
    return names.map((name) => [name, metadata.name ?? "", revision, images.get(revision) ?? ""]);
  });
  return renderTable(["NAMESPACES", "INJECTOR-HOOK", "ISTIO-REVISION", "SIDECAR-IMAGE"], rows, 1);
}

/** The sidecar image from a revision's ConfigMap of injection values, by the revision. Empty for other ConfigMaps. */
function imageOf({ metadata, data = {} }: ConfigMap): (readonly [string, string])[] {
  const values = data["values"];
  if (values === undefined || metadata.name?.startsWith("istio-sidecar-injector") !== true) return [];
  try {
    const { global = {} } = JSON.parse(values) as {
      readonly global?: { readonly hub?: string; readonly tag?: string; readonly proxy?: { readonly image?: string } };
    };
    const image = global.proxy?.image ?? "proxyv2";
    return [
      [
        metadata.labels?.[istioLabels.revision] ?? "",
        image.includes("/") ? image : `${global.hub ?? ""}/${image}:${global.tag ?? ""}`,
      ],
    ];
  } catch {
    return [];
  }
}
