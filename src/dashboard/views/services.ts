import { maxListedPods, type ServicesView, type ServiceView } from "../../api/dashboard/index.ts";
import { configsOfService } from "./concerning-configs.ts";
import { configRows } from "./config-rows.ts";
import { eventRows } from "./events.ts";
import type { ServiceRecord } from "./inventory.ts";
import { peerRows } from "./peer-rows.ts";
import { serviceRow } from "./service-row.ts";
import { trafficIndex } from "./traffic-index.ts";
import { isVisible, wantedNamespaces, type ViewInput, type VisibleNamespaces } from "./view-input.ts";
import { workloadRow } from "./workload-row.ts";

export function servicesView(input: ViewInput, namespaces: string, visible: VisibleNamespaces): ServicesView {
  const wanted = wantedNamespaces(namespaces, visible);
  const shown = [...input.inventory.services.values()].filter(({ service }) =>
    isVisible(wanted, service.metadata.namespace ?? ""),
  );
  return {
    head: { atMs: input.atMs, sources: input.sources },
    tables: { services: Object.fromEntries(shown.map((record) => [record.key, serviceRow(record, input)])) },
  };
}

export function serviceView(input: ViewInput, record: ServiceRecord, visible: VisibleNamespaces): ServiceView {
  const { inventory, messages, traffic } = input;
  const { metadata, spec } = record.service;
  const endpoints = record.slices.flatMap(({ endpoints: listed = [] }) =>
    listed.flatMap(({ addresses, targetRef, conditions, nodeName = "" }) =>
      addresses.map(
        (address) =>
          [
            address,
            {
              address,
              pod: targetRef?.kind === "Pod" ? (targetRef.name ?? "") : "",
              ready: conditions?.ready !== false,
              node: nodeName,
            },
          ] as const,
      ),
    ),
  );
  return {
    head: {
      atMs: input.atMs,
      sources: input.sources,
      row: serviceRow(record, input),
      labels: metadata.labels ?? {},
      selector: spec?.selector ?? {},
    },
    tables: {
      workloads: Object.fromEntries(record.workloads.map((workload) => [workload.key, workloadRow(workload, input)])),
      endpoints: Object.fromEntries(endpoints.slice(0, maxListedPods)),
      inbound: peerRows(trafficIndex(traffic).ofService.get(record.key) ?? [], "source", visible),
      configs: configRows(configsOfService(record.key, inventory, visible), messages),
      events: eventRows(
        inventory.objects.events,
        ({ involvedObject }) =>
          involvedObject.namespace === metadata.namespace &&
          involvedObject.name === metadata.name &&
          (involvedObject.kind === "Service" || involvedObject.kind === "Endpoints"),
      ),
    },
  };
}
