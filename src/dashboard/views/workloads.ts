import { maxListedPods, type WorkloadsView, type WorkloadView } from "../../api/dashboard/index.ts";
import { configsOfWorkload } from "./concerning-configs.ts";
import { configRows } from "./config-rows.ts";
import { concerningEvents } from "./events.ts";
import type { Workload } from "./inventory.ts";
import { peerRows } from "./peer-rows.ts";
import { podRow } from "./pod-row.ts";
import { proxyRow } from "./proxies.ts";
import { serviceRow } from "./service-row.ts";
import { trafficIndex } from "./traffic-index.ts";
import { isVisible, wantedNamespaces, type ViewInput, type VisibleNamespaces } from "./view-input.ts";
import { workloadRow } from "./workload-row.ts";

export function workloadsView(input: ViewInput, namespaces: string, visible: VisibleNamespaces): WorkloadsView {
  const wanted = wantedNamespaces(namespaces, visible);
  const shown = [...input.inventory.workloads.values()].filter(({ namespace }) => isVisible(wanted, namespace));
  return {
    head: { atMs: input.atMs, sources: input.sources },
    tables: { workloads: Object.fromEntries(shown.map((workload) => [workload.key, workloadRow(workload, input)])) },
  };
}

export function workloadView(input: ViewInput, workload: Workload, visible: VisibleNamespaces): WorkloadView {
  const { inventory, traffic, pilots, messages } = input;
  const { inbound, outbound } = trafficIndex(traffic);
  const pods = workload.pods.toSorted((a, b) => (a.metadata.name ?? "").localeCompare(b.metadata.name ?? ""));
  const ownPods = new Set(pods.map(({ metadata }) => metadata.name));
  const services = (inventory.servicesOf.get(workload.key) ?? []).flatMap((key) => inventory.services.get(key) ?? []);
  const spec = pods.at(-1)?.spec;
  const proxies = pilots.proxies
    .map((proxy) => proxyRow(proxy))
    .filter(({ namespace, pod }) => namespace === workload.namespace && ownPods.has(pod));
  return {
    head: {
      atMs: input.atMs,
      sources: input.sources,
      row: workloadRow(workload, input),
      podCount: pods.length,
      labels: workload.labels,
      ...(workload.createdAtMs === undefined ? {} : { createdAtMs: workload.createdAtMs }),
      images: [...new Set((spec?.containers ?? []).map(({ image }) => image ?? ""))].filter((image) => image !== ""),
      serviceAccount: spec?.serviceAccountName ?? "",
    },
    tables: {
      pods: Object.fromEntries(
        pods.slice(0, maxListedPods).map((pod) => [pod.metadata.name ?? "", podRow(pod, inventory.objects.pods)]),
      ),
      inbound: peerRows(inbound.get(workload.key) ?? [], "source", visible),
      outbound: peerRows(outbound.get(workload.key) ?? [], "destination", visible),
      services: Object.fromEntries(services.map((service) => [service.key, serviceRow(service, input)])),
      configs: configRows(configsOfWorkload(workload, inventory, visible), messages),
      proxies: Object.fromEntries(
        proxies.slice(0, maxListedPods).map((proxy) => [`${proxy.namespace}/${proxy.pod}`, proxy]),
      ),
      events: concerningEvents(inventory.objects.events, workload.namespace, workload.name, ownPods),
    },
  };
}
