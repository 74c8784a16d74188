import type { ProcessIdentity } from "../containers/container-process.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import type { Usage, UsageReport } from "./usage-sampler.ts";

export type SummarisedPod = {
  readonly pod: Pick<PodWorker["pod"], "metadata">;
  readonly containers: readonly {
    readonly spec: { readonly name: string };
    readonly running: boolean;
    readonly record: { readonly identity: ProcessIdentity | undefined };
  }[];
};

/** The kubelet's `/stats/summary`: the resource use of each running container, its pod and the node. */
export function statsSummary(nodeName: string, pods: Iterable<SummarisedPod>, report: UsageReport): object {
  return {
    node: { nodeName, ...statsOf(report.node, report) },
    pods: [...pods].flatMap(({ pod, containers }) => {
      const used = containers.flatMap(({ spec, running, record }) => {
        const usage = running && record.identity !== undefined ? report.containers.get(record.identity) : undefined;
        return usage === undefined ? [] : [{ name: spec.name, ...statsOf(usage, report) }];
      });
      const { name, namespace, uid } = pod.metadata;
      return used.length === 0 ? [] : [{ podRef: { name, namespace, uid }, containers: used }];
    }),
  };
}

/**
 * `windowMs` is an additional field of Serin. The kubelet's summary does not state the time over which `usageNanoCores`
 * is an average.
 */
function statsOf({ cpuNanoCores, cpuTotalMs, memoryBytes }: Usage, { atMs, windowMs }: UsageReport): object {
  const time = new Date(atMs).toISOString();
  return {
    cpu: { time, windowMs, usageNanoCores: cpuNanoCores, usageCoreNanoSeconds: cpuTotalMs * 1_000_000 },
    memory: { time, usageBytes: memoryBytes, workingSetBytes: memoryBytes },
  };
}
