import { messageOf, transientError } from "../../../base/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { parsePrometheus, type PrometheusSample } from "../../../telemetry/index.ts";
import { httpGet } from "../http-get.ts";

export type Scrape = (pod: Pod) => Promise<readonly PrometheusSample[]>;

/**
 * Scrapes a pod's metrics at the port and path of its annotations. An error names the pod, and its cause says only what
 * happened.
 */
export async function scrapePod(pod: Pod): Promise<readonly PrometheusSample[]> {
  const annotations = pod.metadata.annotations ?? {};
  const port = Number(annotations["prometheus.io/port"] ?? 15_020);
  const path = annotations["prometheus.io/path"] ?? "/metrics";
  const text = await httpGet(pod.status?.podIP ?? "", port, path).catch((fault: unknown) => {
    const { namespace = "", name = "" } = pod.metadata;
    throw transientError(
      "pod-unreachable",
      `pod ${namespace}/${name} does not tell its metrics: ${messageOf(fault)}; the engine asks again; if this lasts, see kubectl -n ${namespace} describe pod ${name}`,
      { cause: fault },
    );
  });
  return parsePrometheus(text).samples;
}

export function podName({ metadata }: Pod): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}
