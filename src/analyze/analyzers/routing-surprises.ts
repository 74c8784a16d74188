import { virtualServiceKind, type VirtualService } from "../../api/istio/index.ts";
import { listed, type Analyzer, type Report } from "../analyzer.ts";
import { findHost, fullHost } from "../hosts.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import { gatewayReferences, isForMesh } from "./virtual-services.ts";

const allPercent = 100;

export const weightAnalyzer: Analyzer = {
  name: "virtualservice.WeightAnalyzer",
  description: "weights of a route are percentages",
  analyze(inventory, report) {
    for (const { resource, object } of inventory.of(virtualServiceKind)) {
      for (const field of ["http", "tls", "tcp"] as const) {
        for (const [index, { route }] of object.spec[field].entries()) {
          const total = route.reduce((sum, { weight }) => sum + weight, 0);
          if (route.length < 2 || total === 0 || total === allPercent) continue;
          const shares = route.map(
            ({ destination: { host, subset }, weight }) =>
              `${host}${subset === undefined ? "" : ` ${subset}`} ${((weight * allPercent) / total).toFixed(1)} %`,
          );
          report(
            messageTypes.weightsNotHundred,
            resource,
            `spec.${field}[${index}].route`,
            `weights ${listed(route.map(({ weight }) => String(weight)))} sum up to ${total}, not 100, so the shares are ${listed(shares)}; write weights that sum up to 100 if you mean other shares`,
          );
        }
      }
    }
  },
};

/** Reports VirtualServices for a gateway that do something else than they seem to. */
export const gatewayHostAnalyzer: Analyzer = {
  name: "virtualservice.GatewayHostAnalyzer",
  description: "hosts of VirtualServices for gateways are names that clients send to the gateway",
  analyze(inventory, report) {
    for (const service of inventory.of(virtualServiceKind)) {
      if (gatewayReferences(service).length === 0) continue;
      checkShortHosts(service, report);
      checkMeshClients(service, inventory, report);
    }
  },
};

function isShort(host: string): boolean {
  return !host.includes(".") && !host.includes("*") && !host.includes(":");
}

function checkShortHosts({ resource, object: { metadata, spec } }: Entry<VirtualService>, report: Report): void {
  const namespace = metadata.namespace ?? "";
  for (const [index, host] of spec.hosts.entries()) {
    if (!isShort(host)) continue;
    report(
      messageTypes.gatewayHostIsShort,
      resource,
      `spec.hosts[${index}]`,
      `"${host}" is a short name, which the gateway also expands to ${fullHost(host, namespace)}: a client that sends "Host: ${host}" gets 404. Write the name that clients send, such as ${host}.example.com, or "*" for any; clients inside the cluster may send ${fullHost(host, namespace)}`,
    );
  }
}

function checkMeshClients(service: Entry<VirtualService>, inventory: Inventory, report: Report): void {
  const { resource, object } = service;
  if (isForMesh(service)) return;
  const namespace = object.metadata.namespace ?? "";
  const served = new Set(
    inventory
      .of(virtualServiceKind)
      .filter(isForMesh)
      .flatMap(({ object: { metadata, spec } }) => spec.hosts.map((host) => fullHost(host, metadata.namespace ?? ""))),
  );
  for (const [index, host] of object.spec.hosts.entries()) {
    const full = fullHost(host, namespace);
    if (
      host.includes("*") ||
      served.has(full) ||
      findHost(inventory, host, namespace)?.kind !== "Service" ||
      !decides(object)
    )
      continue;
    report(
      messageTypes.meshClientsPassGatewayBy,
      resource,
      `spec.hosts[${index}]`,
      `${full} is a Service, and these routes are for gateways only: a client in the mesh connects to its pods without them. A client with a sidecar does so even when it sends "Host: ${host}" to the gateway's address, because its sidecar routes by the Host header; add "mesh" to gateways to route clients in the mesh too, or test from outside the mesh`,
    );
  }
}

/** Whether a request could get another result without the routes. */
function decides({ spec }: VirtualService): boolean {
  return (
    spec.http.length > 1 ||
    spec.http.some(
      ({ route, fault, mirrors }) =>
        route.length > 1 ||
        fault !== undefined ||
        mirrors.length > 0 ||
        route.some(({ destination }) => destination.subset !== undefined),
    )
  );
}
