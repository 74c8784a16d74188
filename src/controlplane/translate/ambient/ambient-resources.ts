import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import { AuthorizationSchema } from "../../../wire/workload/index.ts";
import { deriveAmbientGateways } from "../../model/ambient/ambient-networks.ts";
import { deriveAmbientEntries } from "../../model/ambient/ambient-service.ts";
import { factsKey, meshKey } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { inheritedPeerAuthenticationsFor, inheritedStrict } from "../../model/peer-authentication.ts";
import { hasSelector } from "../../model/selection.ts";
import { WaypointBindings } from "../../model/ambient/waypoint-bindings.ts";
import { deriveWaypoints, type Waypoints } from "../../model/ambient/waypoint.ts";
import { deriveAmbientNetworks } from "./ambient-networks.ts";
import { deriveAmbientServices } from "./ambient-services.ts";
import { deriveAmbientWorkloads } from "./ambient-workloads.ts";
import { isForZtunnel } from "../../model/ambient/ambient-policy.ts";
import { authorizationOf, convertedPeerAuthentication, staticStrictPolicy } from "./authorization.ts";
import { encodeResource, sameResource, type EncodedResource } from "../resource.ts";

export interface AmbientResources {
  readonly addresses: readonly Collection<EncodedResource>[];
  readonly authorizations: readonly Collection<EncodedResource>[];
}

export function deriveAmbientResources(
  graph: CollectionGraph,
  inputs: MeshInputs,
  waypoints: Waypoints = deriveWaypoints(graph, inputs),
): AmbientResources {
  const sources = {
    inputs,
    waypoints,
    bindings: new WaypointBindings(inputs, waypoints),
    entries: deriveAmbientEntries(graph, inputs),
  };
  const gateways = deriveAmbientGateways(graph, inputs);
  return {
    addresses: [
      ...deriveAmbientServices(graph, sources),
      ...deriveAmbientWorkloads(graph, sources, gateways),
      ...deriveAmbientNetworks(graph, sources, gateways),
    ],
    authorizations: deriveAuthorizations(graph, inputs, waypoints),
  };
}

function deriveAuthorizations(
  graph: CollectionGraph,
  inputs: MeshInputs,
  waypoints: Waypoints,
): readonly Collection<EncodedResource>[] {
  // Only waypoints of the policy's own namespace are exempt from it. Otherwise, a user could create a waypoint in
  // another namespace to bypass the policy.
  const waypointsOf = waypoints.all.index("of-namespace", ({ namespace }) => [namespace]);
  const own = graph.derive(
    "wds-authorizations",
    inputs.authorizationPolicies,
    (policy, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !isForZtunnel(policy)) return [];
      const name = factsKey(policy);
      const accounts =
        policy.spec.action === "DENY" ? reader.lookup(waypointsOf, policy.namespace).map(({ account }) => account) : [];
      const message = authorizationOf(policy, mesh.rootNamespace, [...new Set(accounts)].toSorted());
      return [[name, encodeResource(AuthorizationSchema, name, message)]];
    },
    sameResource,
  );
  const converted = graph.derive(
    "wds-peer-authentications",
    inputs.peerAuthentications,
    (policy, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !hasSelector(policy) || Object.keys(policy.spec.portLevelModes).length === 0) return [];
      const peers = inheritedPeerAuthenticationsFor(policy.namespace, mesh.rootNamespace, inputs, reader);
      if (policy.namespace === mesh.rootNamespace) return [];
      const message = convertedPeerAuthentication(policy, inheritedStrict(policy.namespace, mesh.rootNamespace, peers));
      if (message === undefined) return [];
      const name = `${message.namespace}/${message.name}`;
      return [[name, encodeResource(AuthorizationSchema, name, message)]];
    },
    sameResource,
  );
  const anyPeer = inputs.peerAuthentications.index("any", () => ["any"]);
  const strict = graph.derive(
    "wds-strict",
    inputs.mesh,
    (mesh, reader) => {
      // No workload refers to this policy if there is no PeerAuthentication.
      if (reader.lookup(anyPeer, "any").length === 0) return [];
      const message = staticStrictPolicy(mesh.rootNamespace);
      const name = `${message.namespace}/${message.name}`;
      return [[name, encodeResource(AuthorizationSchema, name, message)]];
    },
    sameResource,
  );
  return [own, converted, strict];
}
