import {
  endpointShare,
  routeLimitFault,
  routeUnits,
  subsetLimitFault,
  subsetShare,
  workloadLimitFault,
  type LimitFault,
} from "../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import type { DestinationRules } from "./destination-rule-model.ts";
import { compareText, meshKey, type DestinationRuleFacts, type MeshSettings } from "./facts.ts";
import type { WithheldServers } from "./gateway/server-routes.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import type { VirtualServices } from "./routing/virtual-service-model.ts";
import { selectedBy } from "./selection.ts";
import { podsByLabel, podsSelectedBy } from "./service/selected-pods.ts";
import { qualifiedHost } from "./service/service-hostname.ts";
import type { ServiceRegistry } from "./service/service-model.ts";
import { workloadEntriesByLabel, workloadEntryLabels } from "./workload-entry.ts";

/** A port of a scope at which a VirtualService does not apply, because a proxy would have too many routes of it. */
export interface WithheldPort {
  readonly virtualService: string;
  readonly port: number;
}

/**
 * What a proxy leaves out of objects because of its limits: by `namespace/name`, a message for each object of which
 * something is left out.
 */
export interface LimitReports {
  readonly DestinationRule: Collection<string>;
  readonly ServiceEntry: Collection<string>;
  readonly VirtualService: Collection<string>;
}

export interface LimitSources {
  readonly inputs: MeshInputs;
  readonly registry: ServiceRegistry;
  readonly destinationRules: DestinationRules;
  readonly virtualServices: VirtualServices;
  readonly withheldPorts: Collection<WithheldPort>;
  readonly withheldServers: Collection<WithheldServers>;
}

export function deriveLimitReports(graph: CollectionGraph, sources: LimitSources): LimitReports {
  const { inputs } = sources;
  const portsOf = sources.withheldPorts.index("virtual-service", ({ virtualService }) => [virtualService]);
  const serversOf = sources.withheldServers.index("virtual-service", ({ virtualService }) => [virtualService]);
  return {
    DestinationRule: graph.derive("limits-of-destination-rules", inputs.destinationRules, (rule, reader, key) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      const fault = mesh === undefined ? undefined : lostSubsets(rule, mesh, sources, reader);
      return fault === undefined ? [] : [[key, textOf(fault)]];
    }),
    ServiceEntry: deriveEntryReports(graph, inputs),
    VirtualService: graph.derive(
      "limits-of-virtual-services",
      sources.virtualServices.models,
      (model, reader, key): Iterable<readonly [string, string]> => {
        // A proxy that several Gateways select has the servers of all of them. Report the proxy that lacks the most
        // routes.
        const [most] = reader
          .lookup(serversOf, key)
          .toSorted((left, right) => right.count - left.count || compareText(left.first, right.first));
        const ports = new Set(reader.lookup(portsOf, key).map(({ port }) => port));
        const first = Math.min(...ports);
        if (most === undefined && ports.size === 0) return [];
        const units = routeUnits(model);
        const faults = [
          ...(most === undefined ? [] : [routeLimitFault(units, { kind: "servers", ...most })]),
          ...(ports.size === 0
            ? []
            : [routeLimitFault(units, { kind: "ports", count: ports.size, first: `port ${first}` })]),
        ];
        return [[key, faults.map(textOf).join("\n")]];
      },
    ),
  };
}

function textOf({ path, message }: LimitFault): string {
  return `${path}: ${message}`;
}

/** The rule's subsets that have no clusters at one of its host's services. Undefined if all subsets have clusters. */
function lostSubsets(
  rule: DestinationRuleFacts,
  mesh: MeshSettings,
  { registry, destinationRules }: LimitSources,
  reader: CollectionReader,
): LimitFault | undefined {
  const host = qualifiedHost(rule.spec.host, rule.namespace, mesh.domain);
  const rules = reader.get(destinationRules.hosts, `${rule.namespace}/${host}`);
  if (rules === undefined || rule.spec.subsets.length === 0) return undefined;
  const services = registry.byHost.flatMap((index) => reader.lookup(index, host));
  const ports = Math.max(1, ...services.map((service) => service.ports.length));
  const share = subsetShare(host, ports);
  const own = new Set(rule.spec.subsets.map(({ name }) => name));
  const lost = [...rules.local, ...rules.exported].flatMap(({ subsets }) =>
    subsets.length <= share ? [] : subsets.slice(share).flatMap(({ name }) => (own.has(name) ? [name] : [])),
  );
  return lost.length === 0 ? undefined : subsetLimitFault({ host, ports, share }, [...new Set(lost)]);
}

function deriveEntryReports(graph: CollectionGraph, inputs: MeshInputs): Collection<string> {
  const pods = podsByLabel(inputs);
  const workloadEntries = workloadEntriesByLabel(inputs);
  return graph.derive("limits-of-service-entries", inputs.serviceEntries, ({ namespace, spec }, reader, key) => {
    if (spec.workloadSelector === undefined) return [];
    const { labels } = spec.workloadSelector;
    const clusters = spec.hosts.length * spec.ports.length;
    const workloads =
      podsSelectedBy(pods, namespace, labels, reader).length +
      selectedBy(workloadEntries, namespace, labels, workloadEntryLabels, reader).length;
    return workloads <= endpointShare(clusters)
      ? []
      : [[key, textOf(workloadLimitFault({ clusters, workloads }, "spec.workloadSelector"))]];
  });
}
