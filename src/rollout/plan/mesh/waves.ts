import { matchesLabels } from "../../../api/index.ts";
import type { MeshUpgrade, UpgradeWave } from "../../../api/serin/index.ts";
import type { MeshWorld, NamespaceInWorld, WorkloadInWorld } from "./mesh-world.ts";

export interface PlannedWave {
  readonly wave: UpgradeWave;
  readonly number: number;
  readonly namespaces: readonly NamespaceInWave[];
}

export interface NamespaceInWave extends NamespaceInWorld {
  /** Whether the wave moves the whole namespace by its label. Otherwise only the named workloads move. */
  readonly isWhole: boolean;
}

const everything: UpgradeWave = {
  name: "wave-1",
  namespaces: [],
  namespaceLabels: {},
  workloadLabels: {},
  mode: "Restart",
  maxUnavailable: 1,
  soakSeconds: 0,
  checks: [],
};

/** Assigns each namespace or workload to the first wave that selects it. Namespaces that no wave selects stay. */
export function plannedWaves({ spec }: MeshUpgrade, { namespaces }: MeshWorld): PlannedWave[] {
  const taken = new Set<string>();
  const takenWorkloads = new Set<WorkloadInWorld>();
  const waves = spec.waves.length === 0 ? [everything] : spec.waves;
  return waves.map((wave, index) => {
    const selected = namespaces.filter((namespace) => !taken.has(namespace.name) && selects(wave, namespace));
    const ofWorkloads = Object.keys(wave.workloadLabels).length > 0;
    const parts = selected.map((namespace): NamespaceInWave => {
      const workloads = namespace.workloads.filter(
        (workload) =>
          !takenWorkloads.has(workload) && (!ofWorkloads || matchesLabels(wave.workloadLabels, workload.labels)),
      );
      for (const workload of workloads) takenWorkloads.add(workload);
      if (!ofWorkloads) taken.add(namespace.name);
      return { ...namespace, workloads, isWhole: !ofWorkloads };
    });
    return {
      wave,
      number: index + 1,
      namespaces: parts.filter(({ isWhole, workloads }) => isWhole || workloads.length > 0),
    };
  });
}

function selects({ namespaces, namespaceLabels }: UpgradeWave, { name, labels }: NamespaceInWorld): boolean {
  const byLabels = Object.keys(namespaceLabels).length > 0;
  if (namespaces.length === 0 && !byLabels) return true;
  return namespaces.includes(name) || (byLabels && matchesLabels(namespaceLabels, labels));
}
