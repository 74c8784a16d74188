import { acted, refused, under, warned, type FieldTable } from "./field-table.ts";

const group = "networking.istio.io";
const translate = "src/controlplane/translate/";
const features = `${translate}golden/features/`;
const routeTest = `${translate}routing/virtual-service-route.test.ts`;
const outboundTest = `${translate}outbound/outbound-resources.test.ts`;
const listenerTest = `${translate}outbound/outbound-listener.test.ts`;
const revocationTest = "src/proxy/peer-trust.test.ts";
const socketTest = "src/proxy/socket-settings.test.ts";
const destination = ["host", "subset", "port.number"];
const headers = ["headers.request.**", "headers.response.**"];
const text = ["exact", "prefix", "regex"];

export const virtualServiceTable: FieldTable = {
  apiGroup: group,
  kind: "VirtualService",
  rows: [
    acted("Hosts, gateways, visibility", "sgw", outboundTest, "hosts[]", "gateways[]", "exportTo[]"),
    acted(
      "Matches of requests",
      "sgw",
      routeTest,
      ...under(
        ["http[].match[]"],
        ...under(["uri", "scheme", "method", "authority", "headers{}", "withoutHeaders{}", "queryParams{}"], ...text),
        "ignoreUriCase",
        "port",
        "name",
      ),
    ),
    acted(
      "Matches of clients",
      "sgw",
      routeTest,
      ...under(["http[].match[]", "tcp[].match[]", "tls[].match[]"], "sourceLabels{}", "sourceNamespace", "gateways[]"),
    ),
    acted("Statistics of a match", "sgw", `${features}virtual-service-http.yaml`, "http[].match[].statPrefix"),
    acted(
      "Destinations and weights",
      "sgw",
      routeTest,
      "http[].name",
      ...under(["http[].route[]"], ...under(["destination"], ...destination), "weight"),
    ),
    acted("Changes of headers", "sgw", routeTest, ...under(["http[]", "http[].route[]"], ...headers)),
    acted("Rewrites", "sgw", routeTest, "http[].rewrite.**"),
    acted("Redirects", "sgw", routeTest, "http[].redirect.**"),
    acted("Direct responses", "sgw", routeTest, "http[].directResponse.**"),
    acted("Delegates", "sgw", routeTest, "http[].delegate.name", "http[].delegate.namespace"),
    acted("Timeouts", "sgw", routeTest, "http[].timeout"),
    acted(
      "Retries",
      "sgw",
      `${features}virtual-service-http.yaml`,
      ...under(["http[].retries"], "attempts", "perTryTimeout", "retryOn", "backoff", "retryIgnorePreviousHosts"),
    ),
    acted(
      "Retries in other localities",
      "sgw",
      "src/proxy/http/retry-priorities.test.ts",
      "http[].retries.retryRemoteLocalities",
    ),
    acted(
      "Faults",
      "sgw",
      `${features}virtual-service-http.yaml`,
      ...under(["http[].fault.delay"], "fixedDelay", "percentage.value", "percent"),
      ...under(["http[].fault.abort"], "httpStatus", "grpcStatus", "percentage.value"),
    ),
    refused("Faults that no proxy supports", "http[].fault.delay.exponentialDelay", "http[].fault.abort.http2Error"),
    acted(
      "Mirrors",
      "sgw",
      `${features}virtual-service-http.yaml`,
      ...under(["http[].mirror", "http[].mirrors[].destination"], ...destination),
      "http[].mirrors[].percentage.value",
      "http[].mirrorPercentage.value",
      "http[].mirrorPercent",
      "http[].mirror_percent",
    ),
    acted("CORS", "sgw", `${features}virtual-service-http.yaml`, "http[].corsPolicy.**"),
    acted(
      "Routes of connections",
      "sg",
      listenerTest,
      ...under(["tcp[].match[]", "tls[].match[]"], "destinationSubnets[]", "port"),
      "tls[].match[].sniHosts[]",
      ...under(["tcp[].route[]", "tls[].route[]"], ...under(["destination"], ...destination), "weight"),
    ),
    refused("Subnets of clients", "tcp[].match[].sourceSubnet"),
  ],
};

const policies = ["trafficPolicy", "subsets[].trafficPolicy"];
const portPolicies = policies.map((policy) => `${policy}.portLevelSettings[]`);
const everywhere = [...policies, ...portPolicies];

export const destinationRuleTable: FieldTable = {
  apiGroup: group,
  kind: "DestinationRule",
  rows: [
    acted("Host, visibility, clients", "sgw", outboundTest, "host", "exportTo[]", "workloadSelector.matchLabels{}"),
    acted("Subsets", "sgw", outboundTest, "subsets[].name", "subsets[].labels{}"),
    acted("Settings of a port", "sgw", outboundTest, ...under(portPolicies, "port.number")),
    acted(
      "Load balancing",
      "sgw",
      `${features}destination-rule.yaml`,
      ...under(everywhere, "loadBalancer.simple", "loadBalancer.warmupDurationSecs", "loadBalancer.warmup.**"),
    ),
    acted(
      "Consistent hashing",
      "sgw",
      `${features}destination-rule.yaml`,
      ...under(everywhere, "loadBalancer.consistentHash.**"),
    ),
    acted("Localities", "sgw", outboundTest, ...under(everywhere, "loadBalancer.localityLbSetting.**")),
    acted(
      "Failover between regions and by labels, in addition to zones",
      "sgw",
      `${features}destination-rule.yaml`,
      ...under(
        everywhere,
        "loadBalancer.zoneAwareLbSetting.failover[].from",
        "loadBalancer.zoneAwareLbSetting.failover[].to",
        "loadBalancer.zoneAwareLbSetting.failoverPriority[]",
      ),
    ),
    acted(
      "Balancing between zones, of sidecars with `ISTIO_META_ENABLE_SELF_DISCOVERY=true` in their `proxyMetadata`",
      "sgw",
      "src/proxy/upstream/zone-aware.test.ts",
      ...under(everywhere, "loadBalancer.zoneAwareLbSetting.enabled", "loadBalancer.zoneAwareLbSetting.minClusterSize"),
    ),
    acted(
      "Connection pools",
      "sgw",
      `${features}destination-rule.yaml`,
      ...under(
        everywhere.map((policy) => `${policy}.connectionPool`),
        "http.**",
        "tcp.maxConnections",
        "tcp.connectTimeout",
        "tcp.idleTimeout",
        "tcp.maxConnectionDuration",
      ),
    ),
    acted("TCP keepalive", "sgw", socketTest, ...under(everywhere, "connectionPool.tcp.tcpKeepalive.**")),
    acted(
      "Outliers",
      "sgw",
      `${features}destination-rule.yaml`,
      ...under(
        everywhere.map((policy) => `${policy}.outlierDetection`),
        "consecutive5xxErrors",
        "consecutiveGatewayErrors",
        "consecutiveLocalOriginFailures",
        "splitExternalLocalOriginErrors",
        "interval",
        "baseEjectionTime",
        "maxEjectionPercent",
        "minHealthPercent",
      ),
    ),
    warned(
      "Outlier detection by a list of statuses, and the deprecated `consecutiveErrors`",
      ...under(
        everywhere.map((policy) => `${policy}.outlierDetection`),
        "outlierDetectionHttpErrorCodes[]",
        "consecutiveErrors",
      ),
    ),
    acted(
      "TLS",
      "sgw",
      `${features}destination-rule.yaml`,
      ...under(
        everywhere.map((policy) => `${policy}.tls`),
        "mode",
        "clientCertificate",
        "privateKey",
        "caCertificates",
        "credentialName",
        "subjectAltNames[]",
        "sni",
        "insecureSkipVerify",
      ),
    ),
    acted("Revocation lists", "sgw", revocationTest, ...under(everywhere, "tls.caCrl")),
    acted("Tunnels", "sg", `${features}destination-rule.yaml`, ...under(policies, "tunnel.**")),
    acted("Retry budgets", "sgw", `${features}destination-rule.yaml`, ...under(policies, "retryBudget.**")),
    acted(
      "PROXY protocol to endpoints",
      "sgw",
      `${features}destination-rule.yaml`,
      ...under(policies, "proxyProtocol.version"),
    ),
  ],
};

const serverTls = [
  "mode",
  "serverCertificate",
  "privateKey",
  "caCertificates",
  "subjectAltNames[]",
  "verifyCertificateSpki[]",
  "verifyCertificateHash[]",
  "minProtocolVersion",
  "maxProtocolVersion",
  "cipherSuites[]",
];
const gatewayTest = `${translate}gateway/gateway-resources.test.ts`;

export const gatewayTable: FieldTable = {
  apiGroup: group,
  kind: "Gateway",
  rows: [
    acted(
      "Servers",
      "g",
      gatewayTest,
      "selector{}",
      ...under(["servers[]"], "name", "bind", "hosts[]", "port.name", "port.number", "port.protocol"),
    ),
    acted(
      "TLS of servers",
      "g",
      gatewayTest,
      ...under(
        ["servers[].tls"],
        ...serverTls,
        "httpsRedirect",
        "credentialName",
        "credentialNames[]",
        "caCertCredentialName",
        "tlsCertificates[].**",
      ),
    ),
    refused("Ports of workloads", "servers[].port.targetPort"),
    acted("Revocation lists", "g", revocationTest, "servers[].tls.caCrl"),
    refused("TLS without verification", "servers[].tls.insecureSkipVerify"),
    warned("Endpoints of servers", "servers[].defaultEndpoint"),
  ],
};

const pooledTcp = ["tcp.maxConnections", "tcp.connectTimeout", "tcp.idleTimeout", "tcp.maxConnectionDuration"];
const inboundTest = `${translate}inbound/inbound-resources.test.ts`;

export const sidecarTable: FieldTable = {
  apiGroup: group,
  kind: "Sidecar",
  rows: [
    acted("Workloads", "s", outboundTest, "workloadSelector.labels{}"),
    acted(
      "Egress",
      "s",
      listenerTest,
      ...under(["egress[]"], "hosts[]", "bind", "captureMode", "port.name", "port.number", "port.protocol"),
    ),
    acted(
      "Ingress",
      "s",
      inboundTest,
      ...under(
        ["ingress[]"],
        "bind",
        "captureMode",
        "defaultEndpoint",
        "port.name",
        "port.number",
        "port.protocol",
        "connectionPool.http.**",
        ...pooledTcp.map((field) => `connectionPool.${field}`),
      ),
    ),
    acted(
      "TCP keepalive",
      "s",
      inboundTest,
      "ingress[].connectionPool.tcp.tcpKeepalive.**",
      "inboundConnectionPool.tcp.tcpKeepalive.**",
    ),
    acted(
      "TLS of ingress",
      "s",
      inboundTest,
      ...under(["ingress[].tls"], ...serverTls.filter((field) => field !== "subjectAltNames[]")),
    ),
    acted("Revocation lists of ingress", "s", revocationTest, "ingress[].tls.caCrl"),
    refused(
      "Credentials and redirects of ingress",
      ...under(
        ["ingress[].tls"],
        "subjectAltNames[]",
        "credentialName",
        "credentialNames[]",
        "caCertCredentialName",
        "tlsCertificates[].**",
        "httpsRedirect",
        "insecureSkipVerify",
      ),
    ),
    refused("Ports of workloads", "egress[].port.targetPort", "ingress[].port.targetPort"),
    acted(
      "Pools of inbound connections",
      "s",
      inboundTest,
      "inboundConnectionPool.http.**",
      ...pooledTcp.map((field) => `inboundConnectionPool.${field}`),
    ),
    acted(
      "Unknown destinations",
      "s",
      outboundTest,
      "outboundTrafficPolicy.mode",
      ...under(["outboundTrafficPolicy.egressProxy"], ...destination),
    ),
  ],
};

const entriesTest = `${translate}ambient/ambient-entries.test.ts`;
const endpoint = ["address", "labels{}", "locality", "network", "ports{}", "serviceAccount", "weight"];

export const serviceEntryTable: FieldTable = {
  apiGroup: group,
  kind: "ServiceEntry",
  rows: [
    acted(
      "Hosts, addresses, visibility",
      "sgwz",
      listenerTest,
      "hosts[]",
      "addresses[]",
      "exportTo[]",
      "location",
      "resolution",
      "subjectAltNames[]",
    ),
    acted("Ports", "sgwz", listenerTest, "ports[].name", "ports[].number", "ports[].protocol", "ports[].targetPort"),
    acted("Endpoints", "sgwz", entriesTest, ...under(["endpoints[]"], ...endpoint)),
    acted("Workloads", "sgwz", entriesTest, "workloadSelector.labels{}"),
  ],
};

export const workloadEntryTable: FieldTable = {
  apiGroup: group,
  kind: "WorkloadEntry",
  rows: [acted("Workloads outside of the cluster", "sgwz", entriesTest, ...endpoint)],
};

export const workloadGroupTable: FieldTable = {
  apiGroup: group,
  kind: "WorkloadGroup",
  rows: [
    acted(
      "Template of WorkloadEntries",
      "c",
      "src/controlplane/entries/workload-registration.test.ts",
      "metadata.annotations{}",
      "metadata.labels{}",
      ...under(["template"], ...endpoint),
    ),
    acted("Probes", "s", "src/api/istio/networking/networking.test.ts", "probe.**"),
  ],
};

export const proxyConfigTable: FieldTable = {
  apiGroup: group,
  kind: "ProxyConfig",
  rows: [
    acted(
      "Settings of injected proxies",
      "sg",
      "src/inject/inject-pod.test.ts",
      "selector.matchLabels{}",
      "concurrency",
      "environmentVariables{}",
      "image.imageType",
    ),
  ],
};

const filterTest = "src/api/istio/policies.test.ts";

export const envoyFilterTable: FieldTable = {
  apiGroup: group,
  kind: "EnvoyFilter",
  rows: [
    acted("Workloads, order", "sgw", filterTest, "workloadSelector.labels{}", "targetRefs[].**", "priority"),
    acted(
      "Patches. The parser warns of a patch for BOOTSTRAP, because it has no effect, as in upstream Istio",
      "sgw",
      filterTest,
      "configPatches[].applyTo",
      "configPatches[].patch.**",
    ),
    acted(
      "Matches",
      "sgw",
      filterTest,
      ...under(["configPatches[].match"], "context", "proxy.**", "cluster.**", "routeConfiguration.**"),
      ...under(["configPatches[].match.listener"], "filterChain.**", "listenerFilter", "name", "portNumber"),
    ),
    warned("Matches of waypoints", "configPatches[].match.waypoint.**"),
    warned("Names of ports", "configPatches[].match.listener.portName"),
  ],
};
