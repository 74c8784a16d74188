import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { unixPrefix } from "../../../api/istio/index.ts";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
  HttpProtocolOptionsSchema,
  type Cluster,
} from "../../../wire/envoy/index.ts";
import { anyAddress } from "../../model/ip-address.ts";
import { destinationRulePath, type DestinationRuleModel } from "../../model/destination-rule-model.ts";
import type { MeshSettings } from "../../model/facts.ts";
import { packHttpOptions, useProtocolOf, type ClusterDraft } from "../cluster-draft.ts";
import { tcpAddress } from "../envoy-address.ts";
import { durationOfMs, filterMetadata } from "../envoy-any.ts";
import { inboundClusterName, inboundPassthroughCluster } from "./inbound-chain.ts";
import type { InboundTarget } from "./inbound-target.ts";
import { originalDestinations } from "../passthrough-cluster.ts";
import { applyConnectionPool, effectivePolicy } from "../traffic-policy.ts";

type ClusterInit = Exclude<MessageInitShape<typeof ClusterSchema>, { $typeName: string }>;

/** The source address of the proxy's connections to its application. The redirect rules exempt it from redirection. */
const ownAddress = { ipv4: "127.0.0.6", ipv6: "::6" } as const;
/**
 * The interval at which unused original destinations are removed, practically never: they must stay known as long as
 * the cluster exists.
 */
const neverMs = 9_223_372_035_000;

/** The application behind one port: at the original destination, or at the address that a Sidecar sets. */
export function inboundCluster(
  target: InboundTarget,
  rule: DestinationRuleModel | undefined,
  mesh: MeshSettings,
): Cluster {
  const name = inboundClusterName(target.port);
  const services = target.services.map((service) => ({ ...service }));
  const shaping = rule?.trafficPolicy === undefined ? undefined : rule;
  const draft: ClusterDraft = {
    cluster: create(ClusterSchema, {
      name,
      altStatName: `${name};`,
      commonLbConfig: {},
      ...(services.length === 0
        ? {}
        : {
            metadata: filterMetadata({
              istio: { services, ...(shaping === undefined ? {} : { config: destinationRulePath(shaping) }) },
            }),
          }),
      ...(target.endpoint === undefined
        ? { ...originalDestination(target.bind), cleanupInterval: durationOfMs(neverMs) }
        : fixedEndpoint(name, target)),
    }),
    http: create(HttpProtocolOptionsSchema),
  };
  // A port that declares HTTP/2 gets HTTP/2. A port without a declared protocol gets the client's HTTP version.
  useProtocolOf(draft, { protocol: target.protocol, followsClient: true, mesh });
  // The connection limits of clients, including the mesh's default, also apply towards the application. The policy's
  // other parts concern only clients.
  const { connectionPool, retryBudget } = effectivePolicy(shaping, undefined, target.servicePort, mesh);
  applyConnectionPool(draft, target.connectionPool ?? connectionPool, retryBudget, mesh);
  packHttpOptions(draft);
  return draft.cluster;
}

export function inboundPassthrough(mesh: MeshSettings): Cluster {
  return originalDestinations({ name: inboundPassthroughCluster, ...fromOwnAddress(anyAddress) }, mesh);
}

function originalDestination(bind: string): ClusterInit {
  return {
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    ...fromOwnAddress(bind),
  };
}

function fromOwnAddress(bind: string): Pick<ClusterInit, "upstreamBindConfig"> {
  const address = bind.includes(":") ? ownAddress.ipv6 : ownAddress.ipv4;
  return { upstreamBindConfig: { sourceAddress: { address, portSpecifier: { case: "portValue", value: 0 } } } };
}

function fixedEndpoint(
  clusterName: string,
  { endpoint = "", bind, sidecar }: Pick<InboundTarget, "endpoint" | "bind" | "sidecar">,
): ClusterInit {
  const socket = /^\[?(.+?)\]?:(\d+)$/.exec(endpoint);
  const address = endpoint.startsWith(unixPrefix)
    ? { case: "pipe" as const, value: { path: endpoint.slice(unixPrefix.length) } }
    : tcpAddress(socket?.[1] ?? "127.0.0.1", Number(socket?.[2] ?? 0));
  return {
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    // Loopback traffic is not redirected, so it needs no special source address.
    ...(sidecar === undefined || /^(127\.|\[?::1\]?:)/.test(endpoint) ? {} : fromOwnAddress(bind)),
    loadAssignment: {
      clusterName,
      endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: { address: { address } } } }] }],
    },
  };
}
