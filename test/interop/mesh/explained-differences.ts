// Where Serin's control plane sends something else than upstream's on purpose, or says it in other words: docs/interop.md
// has the same list for readers.
import type { Difference } from "./dump-difference.ts";

export interface Explanation {
  readonly why: string;
  covers(difference: Difference, configuration: string): boolean;
}

const field = (pattern: RegExp) => (difference: Difference): boolean => pattern.test(difference.field);
const resource = (pattern: RegExp) => (difference: Difference): boolean => pattern.test(difference.resource);
const configured = (pattern: RegExp) => (_difference: Difference, configuration: string): boolean => pattern.test(configuration);

export const explanations: readonly Explanation[] = [
  { why: "sampling rules without a tracer: upstream writes them always, Serin where a provider is named", covers: ({ field: at, serin }) => at.endsWith(".tracing") && serin === "(absent)" },
  { why: "configuration of a tracer or filter that is compared by its bytes", covers: field(/<StringValue>\.value$|tracing\.customTags/) },
  { why: "access logs of tunnels' own listeners", covers: ({ field: at, resource: of }) => at.endsWith("accessLog") && / (connect_|main_internal|inner_|outer_)/.test(of) },
  { why: "an empty list of options of a JSON log", covers: field(/jsonFormatOptions$/) },
  { why: "the order of filter chains that share a name", covers: field(/filterChainMatch\.transportProtocol$/) },
  { why: "double tunnels between networks are set up where there is a second network", covers: resource(/ (inner|outer)_connect_originate$/) },
  { why: "metadata that says of a waypoint's own endpoints what their address says", covers: field(/^waypoint endpoints .*transport_socket_match$/) },
  { why: "weights of localities where there is one locality", covers: field(/commonLbConfig\.localityWeightedLbConfig$/) },
  { why: "a panic threshold of a cluster without endpoints", covers: field(/commonLbConfig\.healthyPanicThreshold$/) },
  { why: "an empty locality, and the health HEALTHY, are Envoy's own when absent", covers: field(/\.locality$|healthStatus$|metadata\.filterMetadata\.istio\.workload$/) },
  { why: "names of a peer's certificate by type, instead of any type", covers: field(/match(Typed)?SubjectAltNames(\[\].*)?$/) },
  { why: "a virtual host of several hosts has the name of the first, upstream's that of the last", covers: field(/^router routes virtualHosts\[\]$/) },
  { why: "routes of Gateway API are called by their parent's port as well", covers: field(/metadata\.filterMetadata\.istio\.config$|decorator\.operation$|tcp_proxy.*statPrefix$|routeConfigName$/) },
  { why: "TLS 1.2 at least is Envoy's own default", covers: field(/tlsParams(\.tlsMinimumProtocolVersion)?$/) },
  { why: "statistics of Mongo's protocol", covers: field(/mongo_proxy\]$/) },
  { why: "gRPC-Web is passed on as it is", covers: field(/grpc_web\]$/) },
  { why: "fields of MeshConfig that are warned of by name: tcpKeepalive, proxyHttpPort, preserveHttp1HeaderCase", covers: ({ field: at, resource: of }) => /upstreamConnectionOptions$|headerKeyFormat$|httpProtocolOptions$|typedExtensionProtocolOptions$/.test(at) || / (127\.0\.0\.1_15002|http_proxy)$/.test(of) },
  { why: "a prefix of an outside authorizer's rules ends with a hyphen, so that one name may begin another", covers: field(/filterEnabledMetadata\.value\.stringMatch\.prefix$/) },
  { why: "a key that nobody has stands for an issuer's keys that cannot be had", covers: field(/localJwks\.inlineString$|spaceDelimitedClaims order$/) },
  { why: "names are resolved, not forwarded: hosts of DYNAMIC_DNS", covers: ({ resource: of }) => /\*\.dyn\.example\.com|0\.0\.0\.0_443$/.test(of) },
  { why: "a redirect's path, empty where it is not changed", covers: field(/redirect\.pathRedirect$/) },
  { why: "metrics are counted also where MeshConfig names no provider of them", covers: ({ field: at, istiod }) => at.endsWith("[istio.stats]") && istiod === "(absent)" },
  { why: "warned of by name: the PROXY protocol towards services", covers: configured(/destination-rule-proxy-protocol$/) },
  { why: "an answer of a waypoint's own may have 1 MB, whichever route gives it", covers: field(/^waypoint listeners .*maxDirectResponseBodySizeBytes$/) },
  { why: "UDP ports are not told to ztunnels", covers: ({ field: at, resource: of }) => /^ztunnel addresses .*ports\[\]/.test(at) || / shop\/(ports|protocols)\./.test(of) },
  { why: "the API server's own endpoint, which is no pod", covers: resource(/kubernetes\.default|EndpointSlice\/default\/kubernetes/) },
];

/** `configuration`: the name of the one that shows it. */
export function explanationOf(difference: Difference, configuration: string): string | undefined {
  return explanations.find((explanation) => explanation.covers(difference, configuration))?.why;
}
