import { create } from "@bufbuild/protobuf";
import type { CollectionReader } from "../../../kube/index.ts";
import { ClusterLoadAssignmentSchema, type ClusterLoadAssignment } from "../../../wire/envoy/index.ts";
import { isClusterLocal } from "../../model/service/cluster-local.ts";
import { clusterEndpoints, subsetOf } from "../../model/destination-rule-model.ts";
import { hboneOf, type MeshSettings } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { gatewaysOf } from "../../model/network-gateways.ts";
import { inheritedPeerAuthenticationsFor, namespaceMutualTls } from "../../model/peer-authentication.ts";
import { nowhere, sentEndpoints } from "../../model/service/service-endpoint-model.ts";
import { getAllEndpoints } from "../../model/service/service-endpoints.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { loadAssignment, localityGroups, type AssignmentOptions } from "../endpoints.ts";
import { byLocality } from "./outbound-locality.ts";
import { isSeenBy, type NetworkCrossing } from "../network-endpoints.ts";
import { encodeResource, type EncodedResource } from "../resource.ts";
import { effectivePolicy, localitySetting, sendsUnready } from "../traffic-policy.ts";
import { ingressWaypoints, throughWaypoints } from "../waypoint-endpoints.ts";
import { resolvedVariant, type ClusterSources, type ClusterVariant, type ResolvedVariant } from "./cluster-variant.ts";

export function encodeAssignment(
  variant: ClusterVariant,
  key: string,
  sources: ClusterSources,
  reader: CollectionReader,
): Iterable<readonly [string, EncodedResource]> {
  const found = resolvedVariant(variant, sources, reader);
  if (found === undefined) return [];
  return [
    [
      key,
      encodeResource(
        ClusterLoadAssignmentSchema,
        variant.name,
        waypointAssignment(variant, found, sources, reader) ??
          assignmentOf(variant, found, { ...sources, healthKnown: true }, reader),
      ),
    ],
  ];
}

function waypointAssignment(
  { name, port, isSidecar, hbone }: ClusterVariant,
  { service }: ResolvedVariant,
  { inputs, waypoints }: ClusterSources,
  reader: CollectionReader,
): ClusterLoadAssignment | undefined {
  const shares = isSidecar || !hbone ? [] : ingressWaypoints(service, inputs, waypoints, reader);
  return shares.length === 0
    ? undefined
    : create(ClusterLoadAssignmentSchema, {
        clusterName: name,
        endpoints: [...throughWaypoints(service, port, shares, inputs, reader)],
      });
}

function sendingOf({ hbone }: ClusterVariant, mesh: MeshSettings): AssignmentOptions["hbone"] {
  if (!hbone) return "never";
  return hboneOf(mesh).preferred ? "always" : "needed";
}

export function assignmentOf(
  variant: ClusterVariant,
  { mesh, service, rule }: ResolvedVariant,
  { endpoints, networkGateways, healthKnown }: ClusterSources & { readonly healthKnown: boolean },
  reader: CollectionReader,
): ClusterLoadAssignment {
  const { network = "", clusterId = mesh.clusterId, networkView: view } = variant;
  const crossing = variant.isSidecar ? undefined : gatewayCrossing(variant, service, mesh);
  const client = {
    network,
    clusterId,
    view,
    ...(crossing === undefined ? {} : { crossing }),
    gateways: gatewaysOf(healthKnown ? networkGateways.resolved : networkGateways.unresolved, reader),
  };
  const clusterLocal = isClusterLocal(service.hostname, mesh);
  const own = clusterEndpoints(
    getAllEndpoints(endpoints, service, variant.port, reader),
    rule,
    subsetOf(rule, variant.subset),
    service.ports.length,
  );
  const policy = effectivePolicy(rule, variant.subset, variant.port, mesh);
  const seen = own.filter((endpoint) => isSeenBy(client, endpoint, clusterLocal));
  const groups = localityGroups(sentEndpoints(seen, healthKnown && sendsUnready(service, policy, mesh)), {
    hbone: sendingOf(variant, mesh),
    healthKnown,
    client,
    ruleTls: policy.tls?.mode,
  });
  const place = {
    locality: variant.locality ?? nowhere,
    node: variant.node,
    network,
    clusterId,
    labels: variant.client.labels,
  };
  return loadAssignment(
    variant.name,
    variant.locality === undefined
      ? groups
      : byLocality(groups, policy, localitySetting(policy, service.preference, mesh), place),
  );
}

/**
 * How a gateway enters other networks. If an ambient mesh has several networks, its gateways stay in their own one
 * unless they are configured to enter others, for which they need HBONE.
 */
function gatewayCrossing(
  { hbone, port }: ClusterVariant,
  { hostname }: ServiceModel,
  { ambientMultiNetwork, ambientNetworkCrossing }: MeshSettings,
): NetworkCrossing | undefined {
  if (ambientMultiNetwork !== true) return undefined;
  return hbone && ambientNetworkCrossing?.ingress === true
    ? { kind: "double-tunnel", host: hostname, port, matched: true }
    : { kind: "never" };
}

/** Whether the policies of the service's namespace allow clients to use mutual TLS. */
export function takesMutualTls(
  namespace: string,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean {
  return (
    namespaceMutualTls(
      namespace,
      mesh.rootNamespace,
      inheritedPeerAuthenticationsFor(namespace, mesh.rootNamespace, inputs, reader),
    ) !== "DISABLE"
  );
}
