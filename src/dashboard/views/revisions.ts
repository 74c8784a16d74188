import type { LadderRevision } from "../../api/dashboard/index.ts";
import { imageTag } from "../../api/images/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import type { Namespace } from "../../api/kubernetes/index.ts";
import { ztunnelRevisionLabel } from "../../api/serin/index.ts";
import type { Inventory, Workload } from "./inventory.ts";
import type { PilotReports } from "./view-input.ts";

export function revisionByTag({ objects }: Inventory): ReadonlyMap<string, string> {
  return new Map(
    objects.injectors.flatMap(({ metadata }) => {
      const tag = metadata.labels?.[istioLabels.tag];
      const revision = metadata.labels?.[istioLabels.revision];
      return tag === undefined || revision === undefined ? [] : [[tag, revision] as const];
    }),
  );
}

export function controlPlanes({ workloads }: Inventory): Workload[] {
  return [...workloads.values()].filter(({ role }) => role === "control plane");
}

export function revisionRows(inventory: Inventory, pilots: PilotReports): Record<string, LadderRevision> {
  const tags = [...revisionByTag(inventory)];
  const rows: Record<string, LadderRevision> = {};
  for (const { labels, readyPods, wantedPods, pods } of controlPlanes(inventory)) {
    const name = labels[istioLabels.revision] ?? "default";
    const image = pods.at(-1)?.spec?.containers.find((container) => container.name === "discovery")?.image ?? "";
    rows[name] = {
      name,
      version: imageTag(image),
      tags: tags.filter(([, revision]) => revision === name).map(([tag]) => tag),
      podsReady: readyPods,
      pods: wantedPods,
      root: (pilots.roots.get(name) ?? "").slice(0, 12),
      ...(isKnown(pilots, name) ? { proxies: pilots.proxies.filter(({ revision }) => revision === name).length } : {}),
    };
  }
  return rows;
}

/** Whether all control plane pods of the revision have answered. */
function isKnown({ answered, silent }: PilotReports, name: string): boolean {
  return answered > 0 && !silent.some(({ revision }) => revision === name);
}

/** The revision that a namespace's labels select, or that of the tag that they select. Empty outside the mesh. */
export function wantedRevision({ metadata: { labels = {} } }: Namespace, tags: ReadonlyMap<string, string>): string {
  const resolved = (name: string): string => tags.get(name) ?? name;
  if (labels[istioLabels.dataplaneMode] === "ambient")
    return labels[ztunnelRevisionLabel] ?? resolved(labels[istioLabels.revision] ?? "default");
  if (labels[istioLabels.injection] === "disabled") return "";
  const revision = labels[istioLabels.revision];
  if (labels[istioLabels.injection] === "enabled") return resolved("default");
  return revision === undefined || revision === "" ? "" : resolved(revision);
}
