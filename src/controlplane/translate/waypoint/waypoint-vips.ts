import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import { ClusterSchema, Cluster_DiscoveryType } from "../../../wire/envoy/index.ts";
import { clusterSubsets } from "../../model/destination-rule-model.ts";
import { identitiesOf } from "../../model/service/service-servers.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { type ScopedEncodedResource, sameScopedResource } from "../resource.ts";
import {
  type ResolvedService,
  assignments,
  discoveryOf,
  encodeAssignments,
  resolve,
  resolvesNamesOf,
  withoutAssignment,
} from "./waypoint-assignments.ts";
import { vipCluster } from "./waypoint-cluster.ts";
import { waypointPortsOf } from "./waypoint-forwarding.ts";
import { carriedKinds, vipName } from "./waypoint-name.ts";
import { type ServedRegistry, type Sources, scoped } from "./waypoint-sources.ts";

interface VipVariant {
  readonly name: string;
  readonly carries: "http" | "tcp";
  readonly port: ServiceModel["ports"][number];
  readonly subset: string | undefined;
}

function variantsOf({ service, rule, mesh }: ResolvedService, vipHost: string): readonly VipVariant[] {
  const ports = waypointPortsOf(service, mesh);
  const subsets = [undefined, ...clusterSubsets(rule, ports.length).map(({ name }) => name)];
  return ports.flatMap((port) =>
    carriedKinds(port.protocol).flatMap((carries) =>
      subsets.map((subset) => ({ name: vipName(port.port, carries, subset, vipHost), carries, port, subset })),
    ),
  );
}

export function deriveVipClusters(
  graph: CollectionGraph,
  { served, services, suffix }: ServedRegistry,
  sources: Sources,
): Collection<ScopedEncodedResource> {
  const { model } = sources;
  return graph.derive(
    `cds-waypoint-services${suffix}`,
    served,
    (item, reader) => {
      const found = resolve(item.waypoint, reader.get(services, item.service), sources, reader);
      if (found === undefined) return [];
      const { mesh, service, rule } = found;
      const identities = identitiesOf(service, mesh, model.endpoints, model.inputs, reader);
      const resolvesNames = resolvesNamesOf(service);
      return variantsOf(found, item.vipHost).flatMap(({ name, carries, port, subset }) => {
        const key = { name, port: port.port, subset };
        const scopes = resolvesNames ? assignments(found, key, true, sources, reader) : [withoutAssignment(found)];
        return scopes.flatMap(({ scope, assignment }) => {
          const cluster = vipCluster({ name, service, port, carries, subset, rule, mesh, identities, assignment });
          return cluster === undefined ? [] : [scoped(ClusterSchema, scope, cluster, name)];
        });
      });
    },
    sameScopedResource,
  );
}

export function deriveVipEndpoints(
  graph: CollectionGraph,
  { served, services, suffix }: ServedRegistry,
  sources: Sources,
): Collection<ScopedEncodedResource> {
  return graph.derive(
    `eds-waypoint-services${suffix}`,
    served,
    (item, reader) => {
      const found = resolve(item.waypoint, reader.get(services, item.service), sources, reader);
      if (found === undefined || discoveryOf(found.service) !== Cluster_DiscoveryType.EDS) return [];
      return variantsOf(found, item.vipHost).flatMap(({ name, port, subset }) =>
        encodeAssignments(found, { name, port: port.port, subset }, sources, reader),
      );
    },
    sameScopedResource,
  );
}
