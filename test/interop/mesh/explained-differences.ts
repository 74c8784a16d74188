// Where Serin's control plane sends something else than istiod on purpose, or writes the same in another way.
// docs/interop.md has the same list for readers.
import type { Difference } from "./dump-difference.ts";

export interface Explanation {
  readonly why: string;
  covers(difference: Difference, configuration: string): boolean;
}

const field =
  (pattern: RegExp) =>
  (difference: Difference): boolean =>
    pattern.test(difference.field);
const resource =
  (pattern: RegExp) =>
  (difference: Difference): boolean =>
    pattern.test(difference.resource);
const configured =
  (pattern: RegExp) =>
  (_difference: Difference, configuration: string): boolean =>
    pattern.test(configuration);

export const explanations: readonly Explanation[] = [
  {
    why: "sampling rules without a tracer: upstream always writes them, Serin only if a provider is named",
    covers: ({ field: at, serin }) => at.endsWith(".tracing") && serin === "(absent)",
  },
  {
    why: "configuration of a tracer or filter that can only be compared by its bytes",
    covers: field(/<StringValue>\.value$|tracing\.customTags/),
  },
  {
    why: "access logs of the listeners of tunnels",
    covers: ({ field: at, resource: resourceName }) =>
      at.endsWith("accessLog") && / (connect_|main_internal|inner_|outer_)/.test(resourceName),
  },
  { why: "the empty list of options of a JSON log", covers: field(/jsonFormatOptions$/) },
  { why: "the order of filter chains that share a name", covers: field(/filterChainMatch\.transportProtocol$/) },
  {
    why: "double tunnels exist only if there is a second network",
    covers: resource(/ (inner|outer)_connect_originate$/),
  },
  {
    why: "metadata of a waypoint's own endpoints that repeats their address",
    covers: field(/^waypoint endpoints .*transport_socket_match$/),
  },
  {
    why: "the weight of a single locality",
    covers: field(/commonLbConfig\.localityWeightedLbConfig$/),
  },
  {
    why: "the panic threshold of a cluster without endpoints",
    covers: field(/commonLbConfig\.healthyPanicThreshold$/),
  },
  {
    why: "an empty locality and the health HEALTHY are Envoy's defaults",
    covers: field(/\.locality$|healthStatus$|metadata\.filterMetadata\.istio\.workload$/),
  },
  {
    why: "a peer certificate's names are matched by type; upstream matches any type",
    covers: field(/match(Typed)?SubjectAltNames(\[\].*)?$/),
  },
  {
    why: "a virtual host of several hosts has the name of the first; upstream uses the last",
    covers: field(/^router routes virtualHosts\[\]$/),
  },
  {
    why: "names of Gateway API routes also contain the parent's port",
    covers: field(
      /metadata\.filterMetadata\.istio\.config$|decorator\.operation$|tcp_proxy.*statPrefix$|routeConfigName$/,
    ),
  },
  { why: "the minimum TLS 1.2 is Envoy's default", covers: field(/tlsParams(\.tlsMinimumProtocolVersion)?$/) },
  { why: "statistics of Mongo's protocol", covers: field(/mongo_proxy\]$/) },
  { why: "gRPC-Web passes unchanged", covers: field(/grpc_web\]$/) },
  {
    why: "a field of MeshConfig that gets a warning: proxyHttpPort",
    covers: resource(/ (127\.0\.0\.1_15002|http_proxy)$/),
  },
  {
    why: "the prefix of an external authorizer's rules ends with a hyphen, so that one name may begin another",
    covers: field(/filterEnabledMetadata\.value\.stringMatch\.prefix$/),
  },
  {
    why: "an unknown key replaces an issuer's keys that cannot be fetched",
    covers: field(/localJwks\.inlineString$|spaceDelimitedClaims order$/),
  },
  {
    why: "clusters that forward by name also have their service in the metadata",
    covers: ({ field: at, resource: resourceName }) =>
      at.endsWith("filterMetadata.istio.services") && /\*\.dyn(amic)?\.example\.(com|org)$/.test(resourceName),
  },
  {
    why: "every wildcard of a port is forwarded, whichever service comes first in the listener",
    covers: field(/httpFilters\[envoy\.filters\.http\.dynamic_forward_proxy\]$/),
  },
  {
    why: "a listener that detects HTTP of unknown hosts continues after its time limit, for servers that speak first",
    covers: ({ field: at, resource: resourceName }) =>
      resourceName.endsWith(" virtualOutbound") &&
      /continueOnListenerFiltersTimeout$|listener\.original_dst\]$/.test(at),
  },
  {
    why: "a DestinationRule's LEAST_REQUEST has an empty configuration, which tells it from the default",
    covers: ({ field: at, serin, istiod }) =>
      at.endsWith("leastRequestLbConfig") && serin === "{}" && istiod === "(absent)",
  },
  { why: "the path of a redirect is empty if it does not change", covers: field(/redirect\.pathRedirect$/) },
  {
    why: "metrics are counted even if MeshConfig names no provider",
    covers: ({ field: at, istiod }) => at.endsWith("[istio.stats]") && istiod === "(absent)",
  },
  {
    why: "a waypoint's direct response may have 1 MB on every route",
    covers: field(/^waypoint listeners .*maxDirectResponseBodySizeBytes$/),
  },
  {
    why: "ztunnels get no UDP ports",
    covers: ({ field: at, resource: resourceName }) =>
      /^ztunnel addresses .*ports\[\]/.test(at) || / shop\/(ports|protocols)\./.test(resourceName),
  },
  {
    why: "a DENY that only L7 can check denies every connection at a ztunnel but those of waypoints; upstream's empty match denies none",
    covers: ({ field: at, istiod }, configuration) =>
      at.startsWith("ztunnel authorizations groups[]") &&
      (istiod.includes('{"matches":[{}]}') || /authorization-(?:ztunnel|tcp)$/.test(configuration)),
  },
  {
    why: "a rule that upstream writes twice: for STRICT of the policy and of its namespace",
    covers: ({ field: at, serin }) => at === "ztunnel authorizations groups[].rules[]" && serin === "(absent)",
  },
  {
    why: "clusters to the original destination have no HBONE, because nothing marks their endpoints for it",
    covers: ({ field: at, serin, istiod }) =>
      at === "sidecar clusters transportSocketMatches" && serin === "(absent)" && istiod.startsWith('[{"name":"hbone"'),
  },
  {
    why: "a pod's own network label applies to ztunnels as to sidecars",
    covers: field(/^ztunnel addresses workload\.network$/),
  },
  {
    why: "the weights of a waypoint's endpoints in one network are not multiplied by the number of other networks' gateways",
    covers: field(/^waypoint endpoints .*loadBalancingWeight$/),
  },
  {
    why: "automatic addresses of both families lead to a waypoint",
    covers: ({ resource: resourceName, serin }) =>
      resourceName === "waypoint listeners main_internal" && serin.includes("2001:2::"),
  },
  { why: "the probe of a WorkloadEntry also affects ztunnels", covers: field(/^ztunnel addresses workload\.status$/) },
  {
    why: "clusters that no route of the waypoint uses: an external service's own, and a second one",
    covers: ({ resource: resourceName }, configuration) =>
      configuration === "traffic/service-entry-ambient" && / outbound\|/.test(resourceName),
  },
  {
    why: "the name of a destination that a waypoint does not see, for which both send no cluster",
    covers: ({ field: at, serin }, configuration) =>
      configuration === "services/waypoint-exported-destinations" &&
      at.endsWith("route.cluster") &&
      serin.startsWith("outbound|"),
  },
  {
    why: "the order of query parameters, all of which must match",
    covers: field(/queryParameters order$/),
  },
  {
    why: "clusters of an east-west gateway that none of its servers uses",
    covers: ({ resource: resourceName, serin }, configuration) =>
      configuration === "networks/auto-passthrough-hosts" && / outbound_/.test(resourceName) && serin === "(absent)",
  },
  {
    why: "localities without endpoints",
    covers: ({ field: at, istiod }) => at === "router endpoints endpoints" && !istiod.includes("lbEndpoints"),
  },
  {
    why: "a Gateway in an unselected namespace serves no waypoint",
    covers: ({ resource: resourceName, serin }, configuration) =>
      configuration === "networks/discovery-selectors" && resourceName.startsWith("waypoint ") && serin === "(absent)",
  },
  {
    why: "a gateway has the listener of HBONE tunnels only while a pod that it can see accepts HBONE",
    covers: ({ resource: resourceName, serin }, configuration) =>
      configuration === "networks/discovery-selectors" &&
      resourceName === "router listeners connect_originate" &&
      serin === "(absent)",
  },
  {
    why: "the short form of a namespace's wildcard host is *, which is the catch-all's domain; Envoy refuses two of them",
    covers: ({ path, serin, istiod }) =>
      /^virtualHosts\[\*\.[^\]]*\]\.domains\[\*\]$/.test(path) && serin === "(absent)" && istiod === "*",
  },
  {
    why: "the order of filter chains that match different connections, and of localities",
    covers: field(/(filterChains|endpoints) order$/),
  },
  {
    why: "a route after one that matches everything",
    covers: ({ field: at, istiod }, configuration) =>
      configuration === "gateway-api/mesh-http-route" &&
      at === "sidecar routes virtualHosts[].routes[]" &&
      istiod === "(absent)",
  },
  {
    why: "a changed default visibility also applies to existing VirtualServices; upstream treats them as unchanged",
    covers: configured(/^mesh-config\/export-to$/),
  },
  {
    why: "missing roots are requested by a name with the suffix of roots",
    covers: ({ serin, istiod }) => serin === "invalid://-cacert" && istiod === "invalid://",
  },
  {
    why: "a gateway's address without a port for mutual TLS, which upstream writes as a socket's path",
    covers: configured(/^networks\/gateway-for-hbone-only$/),
  },
  {
    why: "HBONE to pods whose network only meshNetworks names; upstream looks for them in a network without a name",
    covers: configured(/^networks\/mesh-networks-by-registry$/),
  },
  {
    why: "a waypoint's endpoint has the name of the requested service, without a locality",
    covers: ({ field: at }, configuration) =>
      configuration === "services/ingress-use-waypoint" && at.startsWith("router endpoints endpoints[]"),
  },
  {
    why: "a ServiceEntry is one service, whatever its number of addresses; upstream has one for each, with all endpoints",
    covers: configured(/^services\/service-entry-two-addresses$/),
  },
  {
    why: "pods and WorkloadEntries of one place share a locality, also behind a headless Service",
    covers: configured(/^services\/service-entry-workload-selector$/),
  },
  {
    why: "a Sidecar's ingress terminates TLS if Istio's is off, without a feature flag",
    covers: configured(/^traffic\/sidecar-ingress-tls$/),
  },
  {
    why: "listeners of a Sidecar on unix sockets, which get a warning",
    covers: configured(/^traffic\/sidecar-egress-socket$/),
  },
  {
    why: "a tracer's service has the workload's name if the node names no cluster",
    covers: field(/<OpenTelemetryConfig>\.serviceName$/),
  },
  {
    why: "the API server's own endpoint, which is not a pod",
    covers: resource(/kubernetes\.default|EndpointSlice\/default\/kubernetes/),
  },
];

export function explanationOf(difference: Difference, configuration: string): string | undefined {
  return explanations.find((explanation) => explanation.covers(difference, configuration))?.why;
}
