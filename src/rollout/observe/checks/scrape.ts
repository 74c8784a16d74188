import { messageOf, transientError } from "../../../base/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { parsePrometheus, type PrometheusSample } from "../../../telemetry/index.ts";
import { httpGet } from "../http-get.ts";

/** Reads a pod's metrics: the named families, or all. */
export type Scrape = (pod: Pod, families?: readonly string[]) => Promise<readonly PrometheusSample[]>;

/**
 * Scrapes a pod's metrics at the port and path of its annotations. An error names the pod, and its cause says only what
 * happened.
 *
 * Serin's own proxies send only the requested families. A gateway's whole page has hundreds of kilobytes, the engine
 * reads it several times a second, and a check needs a hundredth of it.
 */
export const scrapePod: Scrape = async (pod, families) => {
  const annotations = pod.metadata.annotations ?? {};
  const port = Number(annotations["prometheus.io/port"] ?? 15_020);
  const path = withNames(annotations["prometheus.io/path"] ?? "/metrics", families);
  const text = await httpGet(pod.status?.podIP ?? "", port, path).catch((fault: unknown) => {
    const { namespace = "", name = "" } = pod.metadata;
    throw transientError(
      "pod-unreachable",
      `pod ${namespace}/${name} does not report its metrics: ${messageOf(fault)}; the engine asks again; if this lasts, see kubectl -n ${namespace} describe pod ${name}`,
      { cause: fault },
    );
  });
  return parsePrometheus(text, families === undefined ? undefined : new Set(families)).samples;
};

/** Names the families as Prometheus' own HTTP handler expects it. Other servers ignore the query. */
function withNames(path: string, families: readonly string[] = []): string {
  const query = families.map((family) => `name[]=${encodeURIComponent(family)}`).join("&");
  return query === "" ? path : `${path}${path.includes("?") ? "&" : "?"}${query}`;
}

export function podName({ metadata }: Pod): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}
