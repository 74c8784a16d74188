import type { PrometheusSample } from "../../telemetry/index.ts";
import { parsePrometheus } from "../../telemetry/index.ts";
import { messageOf } from "../../base/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { CheckObservation, CheckSubject, OutcomeCounts } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { httpGet } from "./http-get.ts";

export type Scrape = (pod: Pod) => Promise<readonly PrometheusSample[]>;

/** Asks a pod for its metrics where its annotations say. */
export async function scrapePod(pod: Pod): Promise<readonly PrometheusSample[]> {
  const annotations = pod.metadata.annotations ?? {};
  const port = Number(annotations["prometheus.io/port"] ?? 15_020);
  const text = await httpGet(pod.status?.podIP ?? "", port, annotations["prometheus.io/path"] ?? "/metrics");
  return parsePrometheus(text).samples;
}

const gatewayNameLabel = "gateway.networking.k8s.io/gateway-name";
const empty: OutcomeCounts = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };

/** The counters that a check compares, by the pod that counted them. A pod that does not answer counts nothing this time. */
export async function observeCounters(view: ClusterView, subject: CheckSubject, scrape: Scrape = scrapePod): Promise<CheckObservation> {
  const pods = podsOf(view, subject);
  if (pods.length === 0) return { type: "unavailable", detail: `no pod that counts ${describeSubject(subject)} runs` };
  const sources: Record<string, OutcomeCounts> = {};
  let problem = "";
  await Promise.all(
    pods.map(async (pod) => {
      try {
        const samples = await scrape(pod);
        sources[`${pod.metadata.namespace ?? ""}/${pod.metadata.name ?? ""}`] = samples.reduce((sum, sample) => add(sum, sample, pod, subject), empty);
      } catch (error) {
        problem = messageOf(error);
      }
    }),
  );
  return Object.keys(sources).length === 0 ? { type: "unavailable", detail: problem } : { type: "counters", sources };
}

function podsOf(view: ClusterView, subject: CheckSubject): Pod[] {
  if (subject.type === "mesh") return view.scrapablePods({ app: "ztunnel" });
  if (subject.type === "gatewayRevisions") {
    return view.scrapablePods({ [gatewayNameLabel]: subject.gateway.name }).filter((pod) => pod.metadata.namespace === subject.gateway.namespace);
  }
  // Every proxy that may stand in front of a backend: gateways and waypoints, but neither pilots nor ztunnels.
  return view.pods.list().filter((pod) => {
    const { labels = {}, annotations = {} } = pod.metadata;
    const fronts = labels[gatewayNameLabel] !== undefined || labels["istio"] === "ingressgateway";
    return fronts && annotations["prometheus.io/scrape"] === "true" && (pod.status?.podIP ?? "") !== "" && pod.status?.phase === "Running";
  });
}

function add(sum: OutcomeCounts, sample: PrometheusSample, pod: Pod, subject: CheckSubject): OutcomeCounts {
  if (subject.type === "mesh") return addConnection(sum, sample);
  if (sample.name !== "istio_requests_total") return sum;
  const group = groupOf(sample, pod, subject);
  if (group === undefined) return sum;
  const code = Number(sample.labels["response_code"] ?? 0);
  return addTo(sum, group, sample.value, code >= 500 || code === 0 ? sample.value : 0);
}

/** ztunnel counts what it opened, and what it could not open. */
function addConnection(sum: OutcomeCounts, { name, labels, value }: PrometheusSample): OutcomeCounts {
  if (name === "istio_tcp_connections_opened_total" && labels["reporter"] === "source") return addTo(sum, "canary", value, 0);
  if (name === "istio_tcp_connections_failed_total") return addTo(sum, "canary", value, value);
  return sum;
}

function groupOf({ labels }: PrometheusSample, pod: Pod, subject: CheckSubject): "canary" | "stable" | undefined {
  if (subject.type === "gatewayRevisions") {
    const revision = pod.metadata.labels?.["istio.io/rev"];
    if (revision === subject.canary) return "canary";
    return revision === subject.stable ? "stable" : undefined;
  }
  if (subject.type !== "backends" || labels["reporter"] !== "source") return undefined;
  for (const group of ["canary", "stable"] as const) {
    const { service, namespace } = subject[group];
    if (labels["destination_service_name"] === service && labels["destination_service_namespace"] === namespace) return group;
  }
  return undefined;
}

function addTo(sum: OutcomeCounts, group: "canary" | "stable", total: number, errors: number): OutcomeCounts {
  if (group === "canary") return { ...sum, canaryTotal: sum.canaryTotal + total, canaryErrors: sum.canaryErrors + errors };
  return { ...sum, stableTotal: sum.stableTotal + total, stableErrors: sum.stableErrors + errors };
}

function describeSubject(subject: CheckSubject): string {
  if (subject.type === "mesh") return "the mesh's connections";
  if (subject.type === "gatewayRevisions") return `requests through gateway ${subject.gateway.namespace}/${subject.gateway.name}`;
  return "requests";
}
