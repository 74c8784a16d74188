import { istioLabels } from "../../api/istio/index.ts";
import { ztunnelNamespaces } from "../../api/mesh-namespaces/index.ts";
import { mutatingWebhookConfigurationKind, namespaceKind, podKind } from "../../api/kubernetes/index.ts";
import { messageOf, nearestName, userError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import type { CommonFlags } from "../flags.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";
import { listPilots, listProxies, namespacesOfControlPlanes } from "../control-planes/pilots.ts";
import { renderTable } from "../terminal/table.ts";

export interface RevisionFlags extends CommonFlags {
  readonly output?: string;
}

interface Revision {
  readonly name: string;
  readonly tags: readonly string[];
  readonly controlPlanes: readonly string[];
  readonly ztunnels: readonly string[];
  readonly namespaces: readonly string[];
  readonly proxies: readonly string[];
}

export async function listRevisions({ output, ...flags }: RevisionFlags, context: CliContext): Promise<void> {
  const format = outputFormat(output, ["json", "yaml", "table"]);
  const revisions = await readRevisions(await context.connect(flags), context);
  if (format !== "table") context.out(await renderValue(revisions, format));
  else if (revisions.length === 0) context.out("No Istio revision is installed.\n");
  else
    context.out(
      renderTable(
        ["REVISION", "TAG", "CONTROL-PLANES", "ZTUNNELS", "NAMESPACES", "PROXIES"],
        revisions.map(({ name, tags, controlPlanes, ztunnels, namespaces, proxies }) => [
          name,
          orNone(tags),
          ...[controlPlanes, ztunnels, namespaces, proxies].map((list) => String(list.length)),
        ]),
        3,
      ),
    );
}

export async function describeRevision(
  name: string,
  { output, ...flags }: RevisionFlags,
  context: CliContext,
): Promise<void> {
  const format = outputFormat(output, ["json", "yaml", "table"]);
  const revisions = await readRevisions(await context.connect(flags), context);
  const found = revisions.find((revision) => revision.name === name || revision.tags.includes(name));
  if (found === undefined) {
    const known = revisions.map((revision) => revision.name);
    const near = nearestName(name, known);
    throw userError(
      "revision-unknown",
      `there is no revision "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}`,
      { hint: known.length === 0 ? "no Istio is installed" : `revisions: ${known.join(", ")}` },
    );
  }
  if (format !== "table") return context.out(await renderValue(found, format));
  const parts: readonly (readonly [string, readonly string[]])[] = [
    ["TAGS", found.tags],
    ["CONTROL PLANES", found.controlPlanes],
    ["ZTUNNELS", found.ztunnels],
    ["INJECTED NAMESPACES", found.namespaces],
    ["PROXIES", found.proxies],
  ];
  context.out(
    `REVISION:\n${found.name}\n${parts.map(([title, list]) => `\n${title}:\n${list.length === 0 ? "<none>" : list.join("\n")}\n`).join("")}`,
  );
}

function orNone(list: readonly string[]): string {
  return list.length === 0 ? "<no-tag>" : list.join(",");
}

async function readRevisions(client: KubeClient, { err }: CliContext): Promise<Revision[]> {
  const [planes, pilots, { items: labelled }, { items: namespaces }, { items: hooks }] = await Promise.all([
    namespacesOfControlPlanes(client),
    listPilots(client),
    client.list(podKind, { labelSelector: "app=ztunnel" }),
    client.list(namespaceKind),
    client.list(mutatingWebhookConfigurationKind, { labelSelector: "app=sidecar-injector" }),
  ]);
  const ztunnels = labelled.filter(({ metadata }) => ztunnelNamespaces(planes).has(metadata.namespace ?? ""));
  const connected = await Promise.all(
    pilots.map(async (pilot) => {
      try {
        return (await listProxies(client, pilot)).map(({ id }) => ({ id, revision: pilot.revision }));
      } catch (error) {
        err(`! ${pilot.pod} did not list its connected proxies, so they are missing here: ${messageOf(error)}\n`);
        return [];
      }
    }),
  );
  const revisionOf = (labels: Readonly<Record<string, string>> | undefined): string =>
    labels?.[istioLabels.revision] ?? "default";
  const names = new Set([
    ...pilots.map(({ revision }) => revision),
    ...hooks.map(({ metadata }) => revisionOf(metadata.labels)),
    ...ztunnels.map(({ metadata }) => revisionOf(metadata.labels)),
  ]);
  return [...names].toSorted().map((name) => {
    const tags = hooks
      .filter(({ metadata }) => revisionOf(metadata.labels) === name)
      .flatMap(({ metadata }) => metadata.labels?.[istioLabels.tag] ?? [])
      .toSorted();
    const isDefault = name === "default" || tags.includes("default");
    return {
      name,
      tags,
      controlPlanes: pilots
        .filter(({ revision }) => revision === name)
        .map(({ pod, namespace }) => `${pod}.${namespace}`),
      ztunnels: ztunnels
        .filter(({ metadata }) => revisionOf(metadata.labels) === name)
        .map(({ metadata }) => metadata.name ?? ""),
      namespaces: namespaces
        .filter(({ metadata: { labels = {} } }) =>
          labels[istioLabels.injection] === "enabled"
            ? isDefault
            : [name, ...tags].some((other) => other === labels[istioLabels.revision]),
        )
        .map(({ metadata }) => metadata.name ?? ""),
      proxies: connected
        .flat()
        .filter(({ revision }) => revision === name)
        .map(({ id }) => id)
        .toSorted(),
    };
  });
}
