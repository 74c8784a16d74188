import { matchesLabels, type KubernetesObject } from "../../api/index.ts";
import {
  authorizationPolicyKind,
  copiedLength,
  destinationRuleKind,
  endpointShare,
  istioGatewayKind,
  maxCopiedLength,
  meshGateway,
  proxyLimits,
  requestAuthenticationKind,
  routeLimitFault,
  routeUnits,
  serviceEntryKind,
  subsetLimitFault,
  subsetShare,
  telemetryKind,
  virtualServiceKind,
  workloadEntryKind,
  workloadLimitFault,
  type LimitFault,
  type VirtualService,
} from "../../api/istio/index.ts";
import { serviceKind } from "../../api/kubernetes/index.ts";
import type { Analyzer, Report } from "../analyzer.ts";
import { fullHost, hostsMeet, knownHosts } from "../hosts.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import type { Resource } from "../resource.ts";
import { selected, workloads } from "../workloads.ts";

/** Reports what the limits of a proxy leave out, where several objects multiply. Validation sees each by itself. */
export const limitAnalyzer: Analyzer = {
  name: "serin.LimitAnalyzer",
  description: "objects that multiply do not exceed the limits of a proxy",
  analyze(inventory, report) {
    checkSubsets(inventory, report);
    checkServices(inventory, report);
    checkEntries(inventory, report);
    for (const rule of inventory.of(virtualServiceKind)) checkRoutes(rule, inventory, report);
  },
};

function tell(report: Report, resource: Resource, { path, message }: LimitFault): void {
  report(messageTypes.beyondLimit, resource, path, message);
}

/** The subsets of all rules of a namespace for one host count together, those of older rules first. */
function checkSubsets(inventory: Inventory, report: Report): void {
  const rules = inventory.of(destinationRuleKind).map(({ resource, object: { metadata, spec } }) => {
    const namespace = metadata.namespace ?? "";
    return { resource, namespace, host: fullHost(spec.host, namespace), subsets: spec.subsets, metadata };
  });
  for (const same of Map.groupBy(rules, ({ namespace, host }) => `${namespace}/${host}`).values()) {
    const host = same[0]?.host ?? "";
    const ports = Math.max(
      1,
      ...knownHosts(inventory).flatMap((known) => (known.host === host ? known.ports.length : [])),
    );
    const share = subsetShare(host, ports);
    const kept = new Set<string>();
    const ageOf = ({ metadata }: (typeof same)[number]): string => metadata.creationTimestamp ?? "";
    for (const { resource, subsets } of same.toSorted((left, right) => (ageOf(left) < ageOf(right) ? -1 : 1))) {
      const lost: string[] = [];
      for (const { name } of subsets)
        if (kept.size < share) kept.add(name);
        else if (!kept.has(name)) lost.push(name);
      if (lost.length > 0) tell(report, resource, subsetLimitFault({ host, ports, share }, lost));
    }
  }
}

function checkServices(inventory: Inventory, report: Report): void {
  const policies = longPolicies(inventory);
  for (const { resource, object } of inventory.of(serviceKind)) {
    const { ports = [], selector = {} } = object.spec ?? {};
    if (ports.length > proxyLimits.servicePorts)
      tell(report, resource, {
        path: "spec.ports",
        message: `${ports.length - proxyLimits.servicePorts} of ${ports.length} ports have no effect, because a Service may have ${proxyLimits.servicePorts}; remove ports, or divide the Service`,
      });
    const clusters = Math.min(ports.length, proxyLimits.servicePorts);
    checkPolicies(resource, clusters, policies.get(object.metadata.namespace ?? "") ?? [], report);
    if (Object.keys(selector).length === 0) continue;
    const found = selected(workloads(inventory), selector, object.metadata.namespace ?? "").length;
    if (found > endpointShare(clusters))
      tell(report, resource, workloadLimitFault({ clusters, workloads: found }, "spec.ports"));
  }
}

/** The filter chains of each port repeat the policies. The control plane counts the filters, which are as long. */
function checkPolicies(service: Resource, ports: number, policies: readonly LongPolicy[], report: Report): void {
  for (const { policy, length } of policies) {
    if (length * ports <= maxCopiedLength) continue;
    tell(report, policy, {
      path: "spec",
      message: `has ${length} characters, and each port of a workload repeats it. For all ${ports} ports of Service ${service.object.metadata.name ?? ""} together, proxies repeat at most ${maxCopiedLength} characters of policies, and close connections to further ports; shorten the policy, or use fewer ports`,
    });
  }
}

interface LongPolicy {
  readonly policy: Resource;
  /** The number of characters of its spec. */
  readonly length: number;
}

/** The policies that may exceed the limit at a Service, by their namespaces. Each is measured once. */
function longPolicies(inventory: Inventory): ReadonlyMap<string, readonly LongPolicy[]> {
  const policies = [authorizationPolicyKind, requestAuthenticationKind, telemetryKind].flatMap((kind) =>
    inventory.of<KubernetesObject>(kind).map(({ object, resource }) => ({
      policy: resource,
      length: copiedLength((object as { readonly spec?: unknown }).spec),
    })),
  );
  const long = policies.filter(({ length }) => length * proxyLimits.servicePorts > maxCopiedLength);
  return Map.groupBy(long, ({ policy }) => policy.object.metadata.namespace ?? "");
}

function checkEntries(inventory: Inventory, report: Report): void {
  for (const { resource, object } of inventory.of(serviceEntryKind)) {
    const { hosts, ports, workloadSelector } = object.spec;
    if (workloadSelector === undefined) continue;
    const namespace = object.metadata.namespace ?? "";
    const entries = inventory
      .of(workloadEntryKind)
      .filter(
        (entry) =>
          (entry.object.metadata.namespace ?? "") === namespace &&
          matchesLabels(workloadSelector.labels, { ...entry.object.metadata.labels, ...entry.object.spec.labels }),
      );
    const found = selected(workloads(inventory), workloadSelector.labels, namespace).length + entries.length;
    const clusters = hosts.length * ports.length;
    if (found > endpointShare(clusters))
      tell(report, resource, workloadLimitFault({ clusters, workloads: found }, "spec.workloadSelector"));
  }
}

/** Comparing more pairs of hosts than this takes too long, and all of the VirtualService's hosts count then. */
const maxComparedHosts = 10_000;

function checkRoutes(
  { resource, object: { metadata, spec } }: Entry<VirtualService>,
  inventory: Inventory,
  report: Report,
): void {
  const namespace = metadata.namespace ?? "";
  const units = routeUnits(spec);
  const names = new Set(spec.gateways.map((name) => (name.includes("/") ? name : `${namespace}/${name}`)));
  const servers = inventory.of(istioGatewayKind).flatMap(({ object }) => {
    const gateway = `${object.metadata.namespace ?? ""}/${object.metadata.name ?? ""}`;
    return names.has(gateway) ? object.spec.servers.map((server) => ({ gateway, server })) : [];
  });
  const hosts = spec.hosts.map((host) => fullHost(host, namespace));
  const common = (own: readonly string[]): number =>
    own.length * hosts.length > maxComparedHosts
      ? hosts.length
      : hosts.filter((host) => own.some((other) => hostsMeet(host, other.slice(other.indexOf("/") + 1)))).length;
  const atServers = servers.map(({ gateway, server }) => ({
    name: `port ${server.port.number} of ${gateway}`,
    units: units * common(server.hosts),
  }));
  const isOfMesh = spec.gateways.length === 0 || spec.gateways.includes(meshGateway);
  const covered = new Set(hosts);
  const atPorts = isOfMesh
    ? knownHosts(inventory)
        .filter(({ host }) => covered.has(host))
        .flatMap(({ ports }) => ports.map((port) => ({ name: `port ${port}`, units })))
    : [];
  for (const [kind, places] of [
    ["servers", atServers],
    ["ports", atPorts],
  ] as const) {
    const lost = placesBeyond(places);
    if (lost.length > 0) tell(report, resource, routeLimitFault(units, { kind, lost }));
  }
}

function placesBeyond(places: readonly { readonly name: string; readonly units: number }[]): readonly string[] {
  let total = 0;
  return places.flatMap(({ name, units }) => {
    if (total + units > proxyLimits.routes) return [name];
    total += units;
    return [];
  });
}
