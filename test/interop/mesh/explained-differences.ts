// Where Serin's control plane sends something else than upstream's on purpose, or says it in other words: docs/interop.md
// has the same list for readers.
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
    why: "sampling rules without a tracer: upstream writes them always, Serin where a provider is named",
    covers: ({ field: at, serin }) => at.endsWith(".tracing") && serin === "(absent)",
  },
  {
    why: "configuration of a tracer or filter that is compared by its bytes",
    covers: field(/<StringValue>\.value$|tracing\.customTags/),
  },
  {
    why: "access logs of tunnels' own listeners",
    covers: ({ field: at, resource: of }) =>
      at.endsWith("accessLog") && / (connect_|main_internal|inner_|outer_)/.test(of),
  },
  { why: "an empty list of options of a JSON log", covers: field(/jsonFormatOptions$/) },
  { why: "the order of filter chains that share a name", covers: field(/filterChainMatch\.transportProtocol$/) },
  {
    why: "double tunnels between networks are set up where there is a second network",
    covers: resource(/ (inner|outer)_connect_originate$/),
  },
  {
    why: "metadata that says of a waypoint's own endpoints what their address says",
    covers: field(/^waypoint endpoints .*transport_socket_match$/),
  },
  {
    why: "weights of localities where there is one locality",
    covers: field(/commonLbConfig\.localityWeightedLbConfig$/),
  },
  { why: "a panic threshold of a cluster without endpoints", covers: field(/commonLbConfig\.healthyPanicThreshold$/) },
  {
    why: "an empty locality, and the health HEALTHY, are Envoy's own when absent",
    covers: field(/\.locality$|healthStatus$|metadata\.filterMetadata\.istio\.workload$/),
  },
  {
    why: "names of a peer's certificate by type, instead of any type",
    covers: field(/match(Typed)?SubjectAltNames(\[\].*)?$/),
  },
  {
    why: "a virtual host of several hosts has the name of the first, upstream's that of the last",
    covers: field(/^router routes virtualHosts\[\]$/),
  },
  {
    why: "routes of Gateway API are called by their parent's port as well",
    covers: field(
      /metadata\.filterMetadata\.istio\.config$|decorator\.operation$|tcp_proxy.*statPrefix$|routeConfigName$/,
    ),
  },
  { why: "TLS 1.2 at least is Envoy's own default", covers: field(/tlsParams(\.tlsMinimumProtocolVersion)?$/) },
  { why: "statistics of Mongo's protocol", covers: field(/mongo_proxy\]$/) },
  { why: "gRPC-Web is passed on as it is", covers: field(/grpc_web\]$/) },
  {
    why: "fields of MeshConfig that are warned of by name: tcpKeepalive, proxyHttpPort, preserveHttp1HeaderCase",
    covers: ({ field: at, resource: of }) =>
      /upstreamConnectionOptions$|headerKeyFormat$|httpProtocolOptions$|typedExtensionProtocolOptions$/.test(at) ||
      / (127\.0\.0\.1_15002|http_proxy)$/.test(of),
  },
  {
    why: "a prefix of an outside authorizer's rules ends with a hyphen, so that one name may begin another",
    covers: field(/filterEnabledMetadata\.value\.stringMatch\.prefix$/),
  },
  {
    why: "a key that nobody has stands for an issuer's keys that cannot be had",
    covers: field(/localJwks\.inlineString$|spaceDelimitedClaims order$/),
  },
  {
    why: "clusters of hosts that are forwarded by name say whose they are too",
    covers: ({ field: at, resource: of }) =>
      at.endsWith("filterMetadata.istio.services") && /\*\.dyn(amic)?\.example\.(com|org)$/.test(of),
  },
  {
    why: "each wildcard of a port is forwarded, whichever service the port's listener begins with",
    covers: field(/httpFilters\[envoy\.filters\.http\.dynamic_forward_proxy\]$/),
  },
  { why: "a redirect's path, empty where it is not changed", covers: field(/redirect\.pathRedirect$/) },
  {
    why: "metrics are counted also where MeshConfig names no provider of them",
    covers: ({ field: at, istiod }) => at.endsWith("[istio.stats]") && istiod === "(absent)",
  },
  {
    why: "an answer of a waypoint's own may have 1 MB, whichever route gives it",
    covers: field(/^waypoint listeners .*maxDirectResponseBodySizeBytes$/),
  },
  {
    why: "UDP ports are not told to ztunnels",
    covers: ({ field: at, resource: of }) =>
      /^ztunnel addresses .*ports\[\]/.test(at) || / shop\/(ports|protocols)\./.test(of),
  },
  {
    why: "a rule that upstream writes twice: STRICT of the policy itself and of its namespace",
    covers: ({ field: at, serin }) => at === "ztunnel authorizations groups[].rules[]" && serin === "(absent)",
  },
  {
    why: "HBONE of clusters whose endpoints are where the connection went: nothing marks these for it",
    covers: ({ field: at, serin, istiod }) =>
      at === "sidecar clusters transportSocketMatches" && serin === "(absent)" && istiod.startsWith('[{"name":"hbone"'),
  },
  {
    why: "a pod's own label of its network holds for ztunnels as it does for sidecars",
    covers: field(/^ztunnel addresses workload\.network$/),
  },
  {
    why: "weights of a waypoint's endpoints, all of one network, are not multiplied by the number of other networks' gateways",
    covers: field(/^waypoint endpoints .*loadBalancingWeight$/),
  },
  {
    why: "automatic addresses of both families lead to a waypoint",
    covers: ({ resource: of, serin }) => of === "waypoint listeners main_internal" && serin.includes("2001:2::"),
  },
  { why: "the probe of a WorkloadEntry tells ztunnels too", covers: field(/^ztunnel addresses workload\.status$/) },
  {
    why: "clusters that no route of the waypoint names: an outside service's own, and it again",
    covers: ({ resource: of }, configuration) =>
      configuration === "traffic/service-entry-ambient" && / outbound\|/.test(of),
  },
  {
    why: "the order in which parameters of a query are asked for: all must match",
    covers: field(/queryParameters order$/),
  },
  {
    why: "clusters of a gateway between networks that no server of it leads to",
    covers: ({ resource: of, serin }, configuration) =>
      configuration === "networks/auto-passthrough-hosts" && / outbound_/.test(of) && serin === "(absent)",
  },
  {
    why: "localities without endpoints",
    covers: ({ field: at, istiod }) => at === "router endpoints endpoints" && !istiod.includes("lbEndpoints"),
  },
  {
    why: "a Gateway in a namespace that is not looked at serves no waypoint",
    covers: ({ resource: of, serin }, configuration) =>
      configuration === "networks/discovery-selectors" && of.startsWith("waypoint ") && serin === "(absent)",
  },
  {
    why: "the order of filter chains that match different connections, and of localities",
    covers: field(/(filterChains|endpoints) order$/),
  },
  {
    why: "a route behind one that takes everything",
    covers: ({ field: at, istiod }, configuration) =>
      configuration === "gateway-api/mesh-http-route" &&
      at === "sidecar routes virtualHosts[].routes[]" &&
      istiod === "(absent)",
  },
  {
    why: "a changed default visibility holds for VirtualServices that are there already; upstream takes them as unchanged",
    covers: configured(/^mesh-config\/export-to$/),
  },
  {
    why: "roots that nobody has are asked for by a name with the suffix of roots",
    covers: ({ serin, istiod }) => serin === "invalid://-cacert" && istiod === "invalid://",
  },
  {
    why: "a gateway's address without a port for mutual TLS, which upstream writes as the path of a socket",
    covers: configured(/^networks\/gateway-for-hbone-only$/),
  },
  {
    why: "HBONE to pods whose network meshNetworks alone says: upstream looks for them in a network without a name",
    covers: configured(/^networks\/mesh-networks-by-registry$/),
  },
  {
    why: "a waypoint's endpoint is called by the service that it is asked for, without a locality",
    covers: ({ field: at }, configuration) =>
      configuration === "services/ingress-use-waypoint" && at.startsWith("router endpoints endpoints[]"),
  },
  {
    why: "of two ServiceEntries of one second upstream takes either for a host's own",
    covers: configured(/^services\/service-entry-one-host-twice$/),
  },
  {
    why: "pods and WorkloadEntries of one place are one locality, and behind a headless Service one like the other",
    covers: configured(/^services\/service-entry-workload-selector$/),
  },
  {
    why: "TLS of a Sidecar's ingress ends where Istio's is off, without a feature flag",
    covers: configured(/^traffic\/sidecar-ingress-tls$/),
  },
  {
    why: "warned of by name: listeners of a Sidecar on unix sockets",
    covers: configured(/^traffic\/sidecar-egress-socket$/),
  },
  {
    why: "a tracer's service has the workload's name where the node names no cluster, as these do not",
    covers: field(/<OpenTelemetryConfig>\.serviceName$/),
  },
  {
    why: "the API server's own endpoint, which is no pod",
    covers: resource(/kubernetes\.default|EndpointSlice\/default\/kubernetes/),
  },
];

/** `configuration`: the name of the one that shows it. */
export function explanationOf(difference: Difference, configuration: string): string | undefined {
  return explanations.find((explanation) => explanation.covers(difference, configuration))?.why;
}
