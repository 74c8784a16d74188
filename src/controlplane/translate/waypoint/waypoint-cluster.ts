import { create, type JsonObject } from "@bufbuild/protobuf";
import {
  InternalUpstreamTransportSchema,
  TransportSocketSchema,
  type Cluster,
  type ClusterLoadAssignment,
} from "../../../wire/envoy/index.ts";
import { destinationRulePath, type DestinationRuleModel } from "../../model/destination-rule-model.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { ServiceModel, ServicePortModel } from "../../model/service/service-model.ts";
import { originalDestinationFilter, rawBuffer } from "../cluster.ts";
import { filterMetadata, packed } from "../envoy-any.ts";
import { outboundCluster } from "../outbound-cluster.ts";
import { type TransportSocketInit, trustDomainPeers } from "../tls-context.ts";
import { effectivePolicy } from "../traffic-policy.ts";
import { withProxyProtocol } from "../upstream-proxy-protocol.ts";
import type { WaypointCarries } from "./waypoint-name.ts";

export interface VipClusterOptions {
  /** The cluster's name, see {@link vipName}. */
  readonly name: string;
  readonly service: ServiceModel;
  readonly port: ServicePortModel;
  readonly carries: WaypointCarries;
  readonly subset: string | undefined;
  readonly rule: DestinationRuleModel | undefined;
  readonly mesh: MeshSettings;
  readonly identities: readonly string[];
  /** The endpoints. Set for cluster types that contain them. */
  readonly assignment: ClusterLoadAssignment | undefined;
}

/**
 * The cluster of one port of a service or subset behind its waypoint. It is like a client's cluster, but connections go
 * through the internal listener that speaks HBONE. HBONE replaces Istio's mutual TLS, so TLS settings of a rule mean
 * TLS with the application.
 */
export function vipCluster(options: VipClusterOptions): Cluster | undefined {
  const { name, service, port, carries, subset, rule, mesh, identities, assignment } = options;
  const cluster = outboundCluster({
    service,
    port: carries === "tcp" ? { ...port, protocol: "tcp" } : port,
    subset,
    rule,
    mesh,
    isSidecar: false,
    followsClient: carries === "http",
    hasOriginalDestination: true,
    hbone: false,
    identities,
    automaticTls: false,
    allCaptured: false,
    assignment,
  });
  if (cluster === undefined) return undefined;
  const { tls, proxyProtocol } = effectivePolicy(rule, subset, port.port, mesh);
  const plain = proxyProtocol === undefined ? rawBuffer : withProxyProtocol(rawBuffer, proxyProtocol);
  const inner = tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL" ? cluster.transportSocket : undefined;
  const istio: JsonObject = {
    services: [{ host: service.hostname, name: service.name, namespace: service.namespace }],
    ...(rule === undefined ? {} : { config: destinationRulePath(rule) }),
    subset: `${carries}${subset === undefined ? "" : `/${subset}`}`,
  };
  cluster.name = name;
  cluster.altStatName = `${name};`;
  cluster.filters = [];
  cluster.metadata = filterMetadata({ istio });
  cluster.transportSocketMatches = [];
  cluster.transportSocket = throughTunnel(inner ?? plain);
  if (cluster.edsClusterConfig !== undefined) cluster.edsClusterConfig.serviceName = name;
  if (cluster.loadAssignment !== undefined) cluster.loadAssignment.clusterName = name;
  return cluster;
}

function throughTunnel(inner: TransportSocketInit) {
  return create(TransportSocketSchema, {
    name: "internal_upstream",
    configType: {
      case: "typedConfig",
      value: packed(InternalUpstreamTransportSchema, {
        passthroughMetadata: [
          { kind: { kind: { case: "host", value: {} } }, name: originalDestinationFilter },
          { kind: { kind: { case: "host", value: {} } }, name: "istio" },
        ],
        transportSocket: inner,
      }),
    },
  });
}

/**
 * Matches the identities of a namespace. As in upstream, a waypoint also accepts servers with identities of its own
 * namespace.
 */
export function peersOfNamespace(mesh: MeshSettings, namespace: string) {
  return trustDomainPeers(`${mesh.trustDomain}/ns/${namespace}/sa`);
}
