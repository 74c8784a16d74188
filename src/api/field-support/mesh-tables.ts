import { acted, byEnvoy, under, warned, type FieldTable } from "./field-table.ts";

const translate = "src/controlplane/translate/";
const features = `${translate}golden/features/`;
const meshTest = "src/api/istio/mesh-config.test.ts";
const managerTest = `${translate}http-connection-manager.test.ts`;
const outboundTest = `${translate}outbound/outbound-resources.test.ts`;
const inboundTest = `${translate}inbound/inbound-resources.test.ts`;
const injectTest = "src/inject/inject-pod.test.ts";
const provider = "extensionProviders[]";
const httpService = ["path", "timeout", "headers[].name", "headers[].value"];

/** MeshConfig of the ConfigMap, but for `defaultConfig`. */
export const meshConfigTable: FieldTable = {
  apiGroup: "",
  kind: "MeshConfig",
  rows: [
    acted("Identity and namespaces", "c", meshTest, "trustDomain", "trustDomainAliases[]", "rootNamespace", "discoverySelectors[].**", "serviceScopeConfigs[].**", "serviceSettings[].**"),
    acted("Trust of other authorities, with ISTIO_MULTIROOT_MESH", "sgwc", "src/controlplane/trust-anchors.test.ts", "caCertificates[].pem", "caCertificates[].spiffeBundleUrl"),
    acted("Trust of other domains", "sgw", inboundTest, "caCertificates[].trustDomains[]"),
    acted("Ports, timeouts, protocols", "sgw", outboundTest, "proxyListenPort", "proxyInboundListenPort", "connectTimeout", "protocolDetectionTimeout", "dnsRefreshRate", "h2UpgradePolicy"),
    acted("Defaults of policies", "sgw", outboundTest, "localityLbSetting", "defaultHttpRetryPolicy", "defaultTrafficPolicy.**", "enableAutoMtls"),
    acted("TCP keepalive", "sgw", "src/proxy/socket-settings.test.ts", "tcpKeepalive"),
    acted("Who sees what", "sgw", outboundTest, "outboundTrafficPolicy.mode", "inboundTrafficPolicy.mode", "defaultServiceExportTo[]", "defaultVirtualServiceExportTo[]", "defaultDestinationRuleExportTo[]"),
    acted("Paths and TLS", "sgw", managerTest, "pathNormalization.normalization", "meshMTLS.minProtocolVersion", "meshMTLS.cipherSuites[]", "tlsDefaults.**"),
    acted("Access logs", "sgw", managerTest, "accessLogFile", "accessLogFormat", "accessLogEncoding", "disableEnvoyListenerLog"),
    acted("Default providers, tracing", "sgw", `${features}telemetry-access-logs.yaml`, "defaultProviders.**", "enableTracing"),
    acted("Merging of metrics", "s", injectTest, "enablePrometheusMerge"),
    acted("External authorization", "sgw", `${features}authorization-conditions.yaml`, `${provider}.name`, ...under([`${provider}.envoyExtAuthzHttp`, `${provider}.envoyExtAuthzGrpc`], "service", "port", "timeout", "failOpen", "clearRouteCache", "statusOnError"), ...under([`${provider}.envoyExtAuthzHttp`], "pathPrefix", "includeHeadersInCheck[]", "includeRequestHeadersInCheck[]", "includeAdditionalHeadersInCheck{}", "headersToUpstreamOnAllow[]", "headersToDownstreamOnAllow[]", "headersToDownstreamOnDeny[]")),
    acted("Bodies that authorizers see", "sgw", "src/proxy/filters/ext-authz-body.test.ts", ...under([`${provider}.envoyExtAuthzHttp`, `${provider}.envoyExtAuthzGrpc`], "includeRequestBodyInCheck.**")),
    acted("File access logs, metrics", "sgw", `${features}telemetry-access-logs.yaml`, `${provider}.envoyFileAccessLog.**`, `${provider}.prometheus`),
    acted("Access logs by OTLP", "sgw", `${features}telemetry-access-logs.yaml`, `${provider}.envoyOtelAls.**`),
    acted("Access log services", "sgw", "src/proxy/tracing/service-logs.test.ts", `${provider}.envoyHttpAls.**`, `${provider}.envoyTcpAls.**`),
    acted("Zipkin", "sgw", `${features}telemetry-tracing-zipkin.yaml`, ...under([`${provider}.zipkin`], "service", "port", "maxTagLength", "enable64bitTraceId", "path", "traceContextOption", "timeout", "headers[].name", "headers[].value")),
    byEnvoy("Other collectors of spans", "sgw", `${features}telemetry-tracing-others.yaml`, `${provider}.datadog.**`, `${provider}.skywalking.**`),
    acted("OpenTelemetry", "sgw", `${features}telemetry-tracing-opentelemetry.yaml`, ...under([`${provider}.opentelemetry`], "service", "port", "maxTagLength", "grpc.timeout", "grpc.initialMetadata[].name", "grpc.initialMetadata[].value", "resourceDetectors.environment", "serviceAttributeEnrichment", ...under(["http"], ...httpService))),
    byEnvoy("OpenTelemetry by Dynatrace", "sgw", `${features}telemetry-tracing-opentelemetry.yaml`, ...under([`${provider}.opentelemetry`], "resourceDetectors.dynatrace", "dynatraceSampler.tenant", "dynatraceSampler.clusterId", "dynatraceSampler.rootSpansPerMinute", "dynatraceSampler.httpService.service", "dynatraceSampler.httpService.port", ...under(["dynatraceSampler.httpService.http"], ...httpService))),
    warned("Headers from the control plane's environment", ...under([provider], "zipkin.headers[].envName", "opentelemetry.http.headers[].envName", "opentelemetry.grpc.initialMetadata[].envName", "opentelemetry.dynatraceSampler.httpService.http.headers[].envName")),
    warned("Providers that upstream has given up", ...under([provider], "lightstep.**", "stackdriver.**", "opencensus.**", "sds.**")),
    warned("Ingress of Kubernetes", "ingressClass", "ingressService", "ingressControllerMode", "ingressSelector"),
    warned("Sources and authorities besides Kubernetes", "configSources[].**", "ca.**", "caCertificates[].certSigners[]", "certificates[].**", "verifyCertificateAtClient"),
    warned("What Serin's proxies have no use for", "enableEnvoyAccessLogService", "inboundClusterStatName", "outboundClusterStatName", "proxyHttpPort", "zoneAwareLbSetting", "hboneIdleTimeout", "serviceEntryVisibility.**", "outboundTrafficPolicy.tls", "meshMTLS.ecdhCurves[]"),
  ],
};

/** `defaultConfig` of the mesh config, and the annotation `proxy.istio.io/config`. */
export const proxyDefaultsTable: FieldTable = {
  apiGroup: "",
  kind: "ProxyConfig of the mesh",
  rows: [
    acted("Control plane, ports, drain", "sg", injectTest, "discoveryAddress", "proxyAdminPort", "statusPort", "drainDuration", "terminationDrainDuration", "concurrency"),
    acted("Injection", "s", injectTest, "interceptionMode", "holdApplicationUntilProxyStarts", "proxyMetadata{}", "image", "meshId"),
    acted("Surroundings of gateways", "g", managerTest, "gatewayTopology.**"),
    acted("Headers", "sgw", managerTest, ...under(["proxyHeaders"], "forwardedClientCert", "requestId.disabled", "server.disabled", "server.value", "attemptCount.disabled", "envoyDebugHeaders.disabled", "metadataExchangeHeaders.mode", "preserveHttp1HeaderCase", "setCurrentClientCertDetails.**")),
    acted("Traces", "sgw", `${features}telemetry-tracing-opentelemetry.yaml`, "tracingServiceName", "tracing.sampling", "tracing.maxPathTagLength", "tracing.enableIstioTags", "tracing.customTags{}.**"),
    warned("Roots, which the control plane writes there itself", "caCertificatesPem[]"),
    acted("What charts write whatever anybody wants", "c", meshTest, "binaryPath", "configPath", "serviceCluster", "statNameLength", "controlPlaneAuthPolicy"),
    warned("Collectors of the proxy's own bootstrap", ...under(["tracing"], "zipkin.**", "lightstep.**", "datadog.**", "stackdriver.**", "openCensusAgent.**", "tlsSettings"), "zipkinAddress"),
    warned("Envoy's own bootstrap", "availabilityZone", "customConfigFile", "discoveryRefreshDelay", "envoyAccessLogService.**", "envoyMetricsService.**", "envoyMetricsServiceAddress", "extraStatTags[]", "fileFlushInterval", "fileFlushMinSizeKb", "privateKeyProvider.**", "proxyBootstrapTemplatePath", "proxyStatsMatcher.**", "readinessProbe", "runtimeValues{}", "sds.**", "statsCompression", "statsdUdpAddress"),
    warned("Limits of connections", "connectionSettings.**"),
    warned("Other headers", ...under(["proxyHeaders"], "xForwardedHost.enabled", "xForwardedPort.enabled")),
  ],
};
