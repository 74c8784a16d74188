import type { Pod } from "../../../api/kubernetes/index.ts";
import { parsePrometheus, type PrometheusSample } from "../../../telemetry/index.ts";
import { httpGet } from "../http-get.ts";

export type Scrape = (pod: Pod) => Promise<readonly PrometheusSample[]>;

/** Scrapes a pod's metrics at the port and path of its annotations. */
export async function scrapePod(pod: Pod): Promise<readonly PrometheusSample[]> {
  const annotations = pod.metadata.annotations ?? {};
  const port = Number(annotations["prometheus.io/port"] ?? 15_020);
  const text = await httpGet(pod.status?.podIP ?? "", port, annotations["prometheus.io/path"] ?? "/metrics");
  return parsePrometheus(text).samples;
}

export function podName({ metadata }: Pod): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}
