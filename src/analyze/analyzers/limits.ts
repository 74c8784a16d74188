import { matchesLabels, type KubernetesObject } from "../../api/index.ts";
import {
  authorizationPolicyKind,
  copiedLength,
  destinationRuleKind,
  endpointShare,
  hostsOverlap,
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
import { fullHost, knownHosts } from "../hosts.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import type { Resource } from "../resource.ts";
import { selected, workloads } from "../workloads.ts";

/**
 * Reports what a proxy leaves out because several objects together exceed a limit. Validation cannot, because it sees
 * one object at a time.
 */
export const limitAnalyzer: Analyzer = {
  name: "serin.LimitAnalyzer",
  description: "objects that multiply do not exceed the limits of a proxy",
  analyze(inventory, report) {
    checkSubsets(inventory, report);
    checkServices(inventory, report);
    checkEntries(inventory, report);
    checkServers(inventory, report);
    for (const rule of inventory.of(virtualServiceKind)) checkPorts(rule, inventory, report);
  },
};

function tell(report: Report, resource: Resource, { path, message }: LimitFault): void {
  report(messageTypes.beyondLimit, resource, path, message);
}

/** All subsets that a namespace's rules define for a host share one limit. The oldest rules use it up first. */
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

/**
 * Reports policies that are too long for a Service with this number of ports, because a proxy repeats them in each
 * port's filter chains. The control plane measures the filters that it makes of the policies. This check measures the
 * policies, which are as long.
 */
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
  /** The length of the policy's spec in characters. */
  readonly length: number;
}

/** By namespace, the policies that may exceed the limit at some Service. */
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

/** The maximum number of pairs of hosts to compare. With more, all hosts of the VirtualService count as matching. */
const maxComparedHosts = 10_000;

/**
 * The VirtualServices of a namespace share one limit at the servers of a proxy. The oldest use it up first. Gateways
 * with the same selector have the same proxies.
 */
function checkServers(inventory: Inventory, report: Report): void {
  const serversOf = new Map(
    inventory.of(istioGatewayKind).map(({ object: { metadata, spec } }) => {
      const gateway = `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
      const proxies = JSON.stringify(Object.entries(spec.selector).map(String).toSorted());
      return [gateway, spec.servers.map((server) => ({ gateway, proxies, server }))] as const;
    }),
  );
  const ageOf = ({ object: { metadata } }: Entry<VirtualService>): string => metadata.creationTimestamp ?? "";
  const totals = new Map<string, number>();
  const rules = inventory.of(virtualServiceKind).toSorted((left, right) => (ageOf(left) < ageOf(right) ? -1 : 1));
  for (const { resource, object } of rules) {
    const { namespace = "" } = object.metadata;
    const units = routeUnits(object.spec);
    const lost: string[] = [];
    const names = object.spec.gateways.map((name) => (name.includes("/") ? name : `${namespace}/${name}`));
    for (const { gateway, proxies, server } of names.flatMap((name) => serversOf.get(name) ?? [])) {
      const key = `${namespace} ${proxies}`;
      const total = (totals.get(key) ?? 0) + units * commonHosts(object, server.hosts);
      if (total <= proxyLimits.routes) totals.set(key, total);
      else lost.push(`port ${server.port.number} of ${gateway}`);
    }
    const [first] = lost;
    if (first !== undefined)
      tell(report, resource, routeLimitFault(units, { kind: "servers", count: lost.length, first }));
  }
}

/** How many of a VirtualService's hosts match a host of the server. */
function commonHosts({ metadata: { namespace = "" }, spec }: VirtualService, own: readonly string[]): number {
  if (own.length * spec.hosts.length > maxComparedHosts) return spec.hosts.length;
  return spec.hosts.filter((host) => {
    const name = fullHost(host, namespace);
    return own.some((other) => hostsOverlap(name, other.slice(other.indexOf("/") + 1)));
  }).length;
}

function checkPorts(
  { resource, object: { metadata, spec } }: Entry<VirtualService>,
  inventory: Inventory,
  report: Report,
): void {
  const units = routeUnits(spec);
  const isOfMesh = spec.gateways.length === 0 || spec.gateways.includes(meshGateway);
  if (!isOfMesh || units === 0) return;
  const covered = new Set(spec.hosts.map((host) => fullHost(host, metadata.namespace ?? "")));
  const ports = knownHosts(inventory).flatMap((known) => (covered.has(known.host) ? known.ports : []));
  const lost = ports.slice(Math.floor(proxyLimits.routes / units));
  if (lost.length > 0)
    tell(
      report,
      resource,
      routeLimitFault(units, { kind: "ports", count: lost.length, first: `port ${lost[0] ?? ""}` }),
    );
}
