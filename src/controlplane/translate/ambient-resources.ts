import { istioLabels } from "../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import { AddressSchema, AuthorizationSchema } from "../../wire/workload/index.ts";
import { factsKey, meshKey, type AuthorizationPolicyFacts, type MeshSettings, type PodFacts, type ServiceFacts } from "../model/facts.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { convertedPolicyKeys, effectivePeerAuthentication, inheritedStrict, peerAuthenticationsFor } from "../model/peer-authentication.ts";
import { hasSelector, selecting, selectorKeys } from "../model/selection.ts";
import { meshClassName, waypointClassName } from "../model/gateway-class.ts";
import { deriveWaypoints, WaypointBindings, waypointKeyOf, waypointPods, type Waypoint, type Waypoints } from "../model/waypoint.ts";
import { capacityOf } from "../model/waypoint-canary.ts";
import { authorizationOf, convertedPeerAuthentication, isForZtunnel, staticStrictPolicy } from "./authorization.ts";
import { encodeResource, sameResource, type EncodedResource } from "./resource.ts";
import { serviceAddress, serviceResourceName, waypointAddress } from "./service-address.ts";
import { podAddress, podUid, sliceAddresses, waypointResourceName } from "./workload-address.ts";

/** What ztunnels are served, by resource name. */
export interface AmbientResources {
  readonly addresses: readonly Collection<EncodedResource>[];
  readonly authorizations: readonly Collection<EncodedResource>[];
}

export function deriveAmbientResources(graph: CollectionGraph, inputs: MeshInputs, waypoints: Waypoints = deriveWaypoints(graph, inputs)): AmbientResources {
  const bindings = new WaypointBindings(inputs, waypoints);
  return {
    addresses: [deriveServices(graph, inputs, waypoints, bindings), derivePods(graph, inputs, waypoints, bindings), deriveSlices(graph, inputs), deriveWaypointServices(graph, inputs, waypoints)],
    authorizations: deriveAuthorizations(graph, inputs),
  };
}

function deriveServices(graph: CollectionGraph, inputs: MeshInputs, waypoints: Waypoints, bindings: WaypointBindings): Collection<EncodedResource> {
  // A near pod goes before the weight of a canary, so that there is no near one while there is a weight.
  const isDivided = (service: ServiceFacts, reader: CollectionReader): boolean => {
    const waypoint = service.labels[istioLabels.gatewayClassName] === waypointClassName ? reader.get(waypoints.all, factsKey(service)) : undefined;
    return waypoint?.canaryWeight !== undefined;
  };
  return graph.derive(
    "wds-services",
    inputs.services,
    (service, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || service.type === "ExternalName") return [];
      const name = serviceResourceName(service, mesh.domain);
      const shares = bindings.sharesOfService(service, reader);
      const divided = isDivided(service, reader);
      return [[name, encodeResource(AddressSchema, name, serviceAddress(divided ? { ...service, preference: "none" } : service, mesh, published(shares[0]?.waypoint) === undefined ? [] : shares))]];
    },
    sameResource,
  );
}

/** Nobody is sent to a waypoint before it can take anybody. */
function published(waypoint: Waypoint | undefined): Waypoint | undefined {
  return waypoint?.published === true ? waypoint : undefined;
}

function deriveWaypointServices(graph: CollectionGraph, inputs: MeshInputs, { all }: Waypoints): Collection<EncodedResource> {
  return graph.derive(
    "wds-waypoints",
    all,
    (waypoint, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || waypoint.className !== meshClassName) return [];
      const name = waypointResourceName(waypoint, mesh);
      return [[name, encodeResource(AddressSchema, name, waypointAddress(waypoint, mesh))]];
    },
    sameResource,
  );
}

function derivePods(graph: CollectionGraph, inputs: MeshInputs, waypoints: Waypoints, bindings: WaypointBindings): Collection<EncodedResource> {
  const services = inputs.services.index("selector", (service) => selectorKeys(service.namespace, service.selector));
  const policies = inputs.authorizationPolicies.index("selector", (policy) => selectorKeys(policy.namespace, policy.spec.selector?.matchLabels ?? {}));

  const policyKeys = (pod: PodFacts, mesh: MeshSettings, reader: CollectionReader): string[] => {
    const scopes = pod.namespace === mesh.rootNamespace ? [pod.namespace] : [pod.namespace, mesh.rootNamespace];
    const selected: readonly AuthorizationPolicyFacts[] = scopes.flatMap((scope) => selecting(policies, scope, pod.labels, (policy) => policy.spec.selector?.matchLabels ?? {}, reader));
    const peers = peerAuthenticationsFor(pod.namespace, mesh.rootNamespace, inputs, reader);
    const converted = convertedPolicyKeys(effectivePeerAuthentication(pod, mesh.rootNamespace, peers), mesh.rootNamespace);
    return [...selected.filter(isForZtunnel).map(factsKey), ...converted].sort();
  };

  /** Of the last pod of a waypoint that is about to end, for as long as it serves: it is better than none. */
  const waypointRole = (pod: PodFacts, reader: CollectionReader): { readonly serves?: Waypoint; readonly healthy?: boolean; readonly capacity?: number | undefined } => {
    const key = waypointKeyOf(pod);
    const waypoint = key === undefined ? undefined : reader.get(waypoints.all, key);
    if (key === undefined || waypoint === undefined) return {};
    const alone = pod.leaving && !reader.lookup(waypointPods(inputs), key).some((other) => other.ready);
    const capacity = waypoint.canaryWeight === undefined ? undefined : capacityOf(pod, waypoint, reader.lookup(waypointPods(inputs), key));
    return { ...(waypoint.className === meshClassName ? { serves: waypoint } : {}), healthy: pod.ready || alone, capacity };
  };

  return graph.derive(
    "wds-pods",
    inputs.pods,
    (pod, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || pod.addresses.length === 0) return [];
      const address = podAddress(pod, {
        mesh,
        node: reader.get(inputs.nodes, pod.node),
        services: selecting(services, pod.namespace, pod.labels, (service) => service.selector, reader),
        policies: policyKeys(pod, mesh, reader),
        waypoint: published(bindings.ofPod(pod, reader)),
        ...waypointRole(pod, reader),
      });
      const name = podUid(pod, mesh.clusterId);
      return [[name, encodeResource(AddressSchema, name, address)]];
    },
    sameResource,
  );
}

function deriveSlices(graph: CollectionGraph, inputs: MeshInputs): Collection<EncodedResource> {
  return graph.derive(
    "wds-endpoints",
    inputs.slices,
    (slice, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      const service = reader.get(inputs.services, slice.service);
      if (mesh === undefined || service === undefined) return [];
      const addresses = sliceAddresses(slice, service, mesh, (node) => reader.get(inputs.nodes, node));
      return addresses.map(([name, address]) => [name, encodeResource(AddressSchema, name, address)] as const);
    },
    sameResource,
  );
}

function deriveAuthorizations(graph: CollectionGraph, inputs: MeshInputs): readonly Collection<EncodedResource>[] {
  const own = graph.derive(
    "wds-authorizations",
    inputs.authorizationPolicies,
    (policy, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !isForZtunnel(policy)) return [];
      const name = factsKey(policy);
      return [[name, encodeResource(AuthorizationSchema, name, authorizationOf(policy, mesh.rootNamespace))]];
    },
    sameResource,
  );
  const converted = graph.derive(
    "wds-peer-authentications",
    inputs.peerAuthentications,
    (policy, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !hasSelector(policy) || Object.keys(policy.spec.portLevelModes).length === 0) return [];
      const peers = peerAuthenticationsFor(policy.namespace, mesh.rootNamespace, inputs, reader);
      const message = convertedPeerAuthentication(policy, inheritedStrict(policy.namespace, mesh.rootNamespace, peers));
      const name = `${message.namespace}/${message.name}`;
      return [[name, encodeResource(AuthorizationSchema, name, message)]];
    },
    sameResource,
  );
  const strict = graph.derive(
    "wds-strict",
    inputs.mesh,
    (mesh) => {
      const message = staticStrictPolicy(mesh.rootNamespace);
      const name = `${message.namespace}/${message.name}`;
      return [[name, encodeResource(AuthorizationSchema, name, message)]];
    },
    sameResource,
  );
  return [own, converted, strict];
}
