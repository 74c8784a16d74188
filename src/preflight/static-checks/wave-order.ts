import { matchesLabelSelector } from "../../api/index.ts";
import type { Namespace } from "../../api/kubernetes/index.ts";
import type { PlannedWave } from "../options.ts";
import type { InjectedWorkload } from "./workloads.ts";

export interface WaveOrder {
  readonly waves: readonly { readonly wave: PlannedWave; readonly workloads: readonly InjectedWorkload[] }[];
  /** Workloads that no wave selects. They stay with the old revision. */
  readonly left: readonly InjectedWorkload[];
}

const everything: PlannedWave = {
  name: "wave-1",
  namespaces: [],
  namespaceLabels: {},
  workloadLabels: {},
  maxUnavailable: 1,
  soakSeconds: 0,
};

/** Assigns each workload to the first wave that selects both its namespace and its pods. */
export function waveOrder(
  planned: readonly PlannedWave[],
  workloads: readonly InjectedWorkload[],
  namespaces: readonly Namespace[],
): WaveOrder {
  const labels = new Map(namespaces.map(({ metadata }) => [metadata.name ?? "", metadata.labels ?? {}]));
  let left = [...workloads];
  const waves = (planned.length === 0 ? [everything] : planned).map((wave) => {
    const own = left.filter((workload) => selects(wave, workload, labels.get(workload.namespace) ?? {}));
    left = left.filter((workload) => !own.includes(workload));
    return { wave, workloads: own };
  });
  return { waves, left };
}

function selects(
  { namespaces, namespaceLabels, workloadLabels }: PlannedWave,
  { namespace, pods }: InjectedWorkload,
  labels: Readonly<Record<string, string>>,
): boolean {
  const byLabels = Object.keys(namespaceLabels).length > 0;
  const ofNamespace =
    (namespaces.length === 0 && !byLabels) ||
    namespaces.includes(namespace) ||
    (byLabels && matchesLabelSelector({ matchLabels: { ...namespaceLabels } }, labels));
  return ofNamespace && matchesLabelSelector({ matchLabels: { ...workloadLabels } }, pods[0]?.metadata.labels);
}
