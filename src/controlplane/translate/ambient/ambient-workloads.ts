import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { AddressSchema, type Address } from "../../../wire/workload/index.ts";
import { workloadEntryLabels } from "../../model/workload-entry.ts";
import type { AmbientGateways } from "../../model/ambient/ambient-networks.ts";
import { isForZtunnel } from "../../model/ambient/ambient-policy.ts";
import { ambientServiceOf, selectorIndexOf, type AmbientService } from "../../model/ambient/ambient-service.ts";
import { localMesh } from "../../model/cluster-view.ts";
import {
  factsKey,
  type AuthorizationPolicyFacts,
  type Labels,
  type MeshSettings,
  type PodFacts,
  type ServiceFacts,
} from "../../model/facts.ts";
import { meshClassName } from "../../model/gateway-class.ts";
import {
  convertedPolicyKeys,
  effectivePeerAuthentication,
  peerAuthenticationsFor,
} from "../../model/peer-authentication.ts";
import { selecting, selectorKeys } from "../../model/selection.ts";
import {
  deriveServiceCrowds,
  entryMember,
  podMember,
  type ServiceCrowd,
  type ServiceCrowds,
} from "../../model/service/crowded-services.ts";
import { waypointKeyOf, waypointPods, type InboundBinding, type Waypoint } from "../../model/ambient/waypoint.ts";
import { capacityOf, usedWaypointPods } from "../../model/ambient/waypoint-canary.ts";
import type { AmbientSources } from "./ambient-services.ts";
import {
  endpointsOfEntry,
  serviceEntryEndpointAddress,
  serviceKeysOfEntry,
  workloadEntryAddress,
  workloadEntryUid,
} from "./entry-address.ts";
import { encodeResource, sameResource, type EncodedResource } from "../resource.ts";
import { TakenAddresses } from "./taken-addresses.ts";
import { behindGateway, podAddress, podUid, sliceAddresses } from "./workload-address.ts";

interface Subject {
  readonly namespace: string;
  readonly labels: Labels;
}

interface WorkloadRules {
  readonly crowds: ServiceCrowds;
  /**
   * The services that are sent with the workload. `member` is its {@link podMember} or {@link entryMember}. A
   * ServiceEntry is left out if another one owns its host.
   */
  readonly servicesFor: (
    workload: Subject,
    member: string,
    mesh: MeshSettings,
    reader: CollectionReader,
  ) => readonly AmbientService[];
  readonly policiesFor: (workload: Subject, mesh: MeshSettings, reader: CollectionReader) => readonly string[];
  /** Encodes a workload with the gateway of its network. */
  readonly encode: (uid: string, address: Address, reader: CollectionReader) => readonly [string, EncodedResource];
  /** Does the same for a workload whose author chose its address. */
  readonly encodeEntry: WorkloadRules["encode"];
}

export function deriveAmbientWorkloads(
  graph: CollectionGraph,
  sources: AmbientSources,
  gateways: AmbientGateways,
): readonly Collection<EncodedResource>[] {
  const rules = workloadRules(sources, gateways, deriveServiceCrowds(graph, sources.inputs));
  return [
    derivePods(graph, sources, rules),
    deriveWorkloadEntries(graph, sources, rules),
    deriveEntryEndpoints(graph, sources, rules),
    deriveSlices(graph, sources),
  ];
}

function workloadRules(
  { inputs, entries }: AmbientSources,
  gateways: AmbientGateways,
  crowds: ServiceCrowds,
): WorkloadRules {
  const services = selectorIndexOf(inputs.services);
  const entryServices = selectorIndexOf(entries.chosen);
  const selectorOf = (service: { readonly selector: Labels }): Labels => service.selector;
  const policies = inputs.authorizationPolicies.index("selector", (policy) =>
    selectorKeys(policy.namespace, policy.spec.selector?.matchLabels ?? {}),
  );
  const counts = (crowd: Collection<ServiceCrowd>, key: string, member: string, reader: CollectionReader): boolean =>
    reader.get(crowd, key)?.members?.has(member) !== false;
  const encode: WorkloadRules["encode"] = (uid, address, reader) => [
    uid,
    encodeResource(AddressSchema, uid, behindGateway(address, gateways, reader)),
  ];
  const taken = new TakenAddresses(inputs);
  return {
    crowds,
    servicesFor: ({ namespace, labels }, member, mesh, reader) => [
      ...selecting(services, namespace, labels, selectorOf, reader)
        .filter((service) => counts(crowds.services, factsKey(service), member, reader))
        .flatMap((service) => asAmbient(service, mesh)),
      ...selecting(entryServices, namespace, labels, selectorOf, reader).filter((service) =>
        counts(crowds.entries, factsKey(service), member, reader),
      ),
    ],
    policiesFor: (workload, mesh, reader) => {
      const scopes =
        workload.namespace === mesh.rootNamespace ? [workload.namespace] : [workload.namespace, mesh.rootNamespace];
      const selected: readonly AuthorizationPolicyFacts[] = scopes.flatMap((scope) =>
        selecting(policies, scope, workload.labels, (policy) => policy.spec.selector?.matchLabels ?? {}, reader),
      );
      const peers = peerAuthenticationsFor(workload, mesh.rootNamespace, inputs, reader);
      const converted = convertedPolicyKeys(
        effectivePeerAuthentication(workload, mesh.rootNamespace, peers),
        mesh.rootNamespace,
      );
      return [...selected.filter(isForZtunnel).map(factsKey).sort(), ...converted];
    },
    encode,
    encodeEntry: (uid, address, reader) => encode(uid, taken.yieldTo(address, reader), reader),
  };
}

/** The service's ports in ambient's form do not depend on its traffic preference, so this form has none. */
function asAmbient(service: ServiceFacts, mesh: MeshSettings): readonly AmbientService[] {
  const found = ambientServiceOf(service, mesh, undefined);
  return found === undefined ? [] : [found];
}

interface WaypointRole {
  readonly serves?: Waypoint;
  readonly healthy?: boolean;
  readonly capacity?: number | undefined;
  readonly applicationTunnel?: InboundBinding | undefined;
}

function derivePods(
  graph: CollectionGraph,
  sources: AmbientSources,
  rules: WorkloadRules,
): Collection<EncodedResource> {
  const { inputs, waypoints, bindings } = sources;
  // Ignore a slice that names a pod of another namespace. Otherwise, ztunnels would treat that pod's connections as
  // those of the slice's service.
  const slicesOfPod = inputs.slices.index("pod", (slice) =>
    slice.endpoints.flatMap(({ pod }) => (pod.startsWith(`${slice.namespace}/`) ? [pod] : [])),
  );

  const listing = (pod: PodFacts, mesh: MeshSettings, reader: CollectionReader): readonly AmbientService[] => {
    const names = new Set(reader.lookup(slicesOfPod, factsKey(pod)).map(({ service }) => service));
    return [...names].flatMap((name) => {
      const service = reader.get(inputs.services, name);
      if (service === undefined || Object.keys(service.selector).length > 0) return [];
      return reader.get(rules.crowds.services, name)?.members?.has(podMember(pod)) === false
        ? []
        : asAmbient(service, mesh);
    });
  };

  /** Whether no pod that the service selects is ready. Clients then use its terminating pods, as in `usedEndpoints`. */
  const isLastOf = ({ source, namespace, name, selector }: AmbientService, reader: CollectionReader): boolean =>
    source === "Service" &&
    Object.keys(selector).length > 0 &&
    reader.get(rules.crowds.services, `${namespace}/${name}`)?.hasReadyPod === false;

  const waypointRole = (pod: PodFacts, reader: CollectionReader): WaypointRole => {
    const key = waypointKeyOf(pod);
    const waypoint = key === undefined ? undefined : reader.get(waypoints.all, key);
    if (key === undefined || waypoint === undefined) return {};
    const all = reader.lookup(waypointPods(inputs), key);
    const capacity = waypoint.canaryWeight === undefined ? undefined : capacityOf(pod, waypoint, all);
    return {
      ...(waypoint.className === meshClassName ? { serves: waypoint } : {}),
      healthy: usedWaypointPods(all).includes(pod),
      capacity,
      applicationTunnel: waypoint.binding,
    };
  };

  return graph.derive(
    "wds-pods",
    inputs.pods,
    (pod, reader) => {
      const mesh = localMesh(inputs, reader);
      if (mesh === undefined || pod.addresses.length === 0) return [];
      const services = [...rules.servicesFor(pod, podMember(pod), mesh, reader), ...listing(pod, mesh, reader)];
      const address = podAddress(pod, {
        mesh,
        node: reader.get(inputs.nodes, pod.node),
        services,
        healthy: pod.ready || (pod.leaving && services.some((service) => isLastOf(service, reader))),
        policies: rules.policiesFor(pod, mesh, reader),
        waypoint: published(bindings.ofPod(pod, reader)),
        ...waypointRole(pod, reader),
      });
      return [rules.encode(podUid(pod, mesh.clusterId), address, reader)];
    },
    sameResource,
  );
}

function deriveWorkloadEntries(
  graph: CollectionGraph,
  { inputs, bindings }: AmbientSources,
  rules: WorkloadRules,
): Collection<EncodedResource> {
  return graph.derive(
    "wds-workload-entries",
    inputs.workloadEntries,
    (entry, reader) => {
      const mesh = localMesh(inputs, reader);
      if (mesh === undefined) return [];
      const subject = { namespace: entry.namespace, labels: workloadEntryLabels(entry) };
      const address = workloadEntryAddress(entry, {
        mesh,
        services: rules.servicesFor(subject, entryMember(entry), mesh, reader),
        policies: rules.policiesFor(subject, mesh, reader),
        waypoint: published(bindings.bindingOfEntry(subject, reader).waypoint),
      });
      return [rules.encodeEntry(workloadEntryUid(entry, mesh.clusterId), address, reader)];
    },
    sameResource,
  );
}

function deriveEntryEndpoints(
  graph: CollectionGraph,
  { inputs, bindings, entries }: AmbientSources,
  rules: WorkloadRules,
): Collection<EncodedResource> {
  return graph.derive(
    "wds-service-entry-endpoints",
    inputs.serviceEntries,
    (entry, reader) => {
      const mesh = localMesh(inputs, reader);
      if (mesh === undefined) return [];
      const services = serviceKeysOfEntry(entry)
        .flatMap((key) => reader.get(entries.chosen, key) ?? [])
        .filter(({ name }) => name === entry.name);
      // Other ServiceEntries own all of the entry's hosts.
      if (services.length === 0) return [];
      const policies = rules.policiesFor(entry, mesh, reader);
      return endpointsOfEntry(entry, services).map((endpoint) => {
        const waypoint = endpoint.listed
          ? bindings.bindingOfEntry({ namespace: entry.namespace, labels: endpoint.spec.labels }, reader).waypoint
          : undefined;
        const [uid, address] = serviceEntryEndpointAddress(entry, endpoint.spec, {
          mesh,
          services: endpoint.services,
          policies,
          waypoint: published(waypoint),
        });
        return rules.encodeEntry(uid, address, reader);
      });
    },
    sameResource,
  );
}

function deriveSlices(graph: CollectionGraph, { inputs }: AmbientSources): Collection<EncodedResource> {
  return graph.derive(
    "wds-endpoints",
    inputs.slices,
    (slice, reader) => {
      const mesh = localMesh(inputs, reader);
      const facts = reader.get(inputs.services, slice.service);
      if (mesh === undefined || facts === undefined) return [];
      return asAmbient(facts, mesh).flatMap((service) =>
        sliceAddresses(slice, service, mesh).map(
          ([name, address]) => [name, encodeResource(AddressSchema, name, address)] as const,
        ),
      );
    },
    sameResource,
  );
}

function published(waypoint: Waypoint | undefined): Waypoint | undefined {
  return waypoint?.published === true ? waypoint : undefined;
}
