import type { MeshConfig, MeshNetworks } from "../api/istio/index.ts";
import type { ControlPlaneSettings } from "../api/pilot-settings/index.ts";
import type { MeshSettings } from "./model/index.ts";

/** The percentage of requests that are traced if nothing sets one, as in upstream Istio. */
const defaultSamplingPercent = 1;
const defaultIngressNamespace = "istio-system";

type OwnOptions = Pick<ControlPlaneSettings, "clusterId" | "network" | "domain" | "traceSamplingPercent"> &
  Partial<
    Pick<
      ControlPlaneSettings,
      | "clusters"
      | "wildcardTlsAtWaypoints"
      | "dynamicDnsMaxHosts"
      | "acceptsHttp10"
      | "unreadyEndpoints"
      | "exchangedLabels"
      | "gatewaysIgnoreSelectors"
      | "gatewaysStayInNamespace"
      | "hbone"
      | "keySetFetcher"
      | "severalAuthorizers"
      | "sessions"
      | "shadowHostSuffix"
      | "compliance"
      | "ingressNamespace"
    >
  >;

/** The settings of the model, from the mesh config and from this control plane's own options. */
export function meshSettings(config: MeshConfig, settings: OwnOptions, networks: MeshNetworks = {}): MeshSettings {
  return {
    trustDomain: config.trustDomain,
    networks,
    ...switches(settings),
    rootNamespace: config.rootNamespace,
    ingress: { ...ingressSettings(config), namespace: settings.ingressNamespace ?? defaultIngressNamespace },
    clusterId: settings.clusterId,
    network: settings.network,
    domain: settings.domain,
    connectTimeoutMs: config.connectTimeoutMs,
    enableAutoMtls: config.enableAutoMtls,
    outboundTrafficPolicy: config.outboundTrafficPolicy,
    outboundTrafficTls: config.outboundTrafficTls,
    defaultServiceExportTo: config.defaultServiceExportTo,
    defaultVirtualServiceExportTo: config.defaultVirtualServiceExportTo,
    defaultDestinationRuleExportTo: config.defaultDestinationRuleExportTo,
    h2UpgradePolicy: config.h2UpgradePolicy,
    dnsRefreshRateMs: config.dnsRefreshRateMs,
    protocolDetectionTimeoutMs: config.protocolDetectionTimeoutMs,
    trustDomainAliases: config.trustDomainAliases,
    trustedDomains: [...new Set(config.caCertificates.flatMap(({ trustDomains }) => trustDomains))],
    extensionProviders: config.extensionProviders,
    defaultAccessLogProviders: config.defaultAccessLogProviders,
    defaultMetricsProviders: config.defaultMetricsProviders,
    defaultTracingProviders: config.defaultTracingProviders,
    disableEnvoyListenerLog: config.disableEnvoyListenerLog,
    enableTracing: config.enableTracing,
    tcpKeepalive: config.tcpKeepalive,
    meshMutualTls: config.meshMutualTls,
    tlsDefaults: config.tlsDefaults,
    proxyListenPort: config.proxyListenPort,
    proxyInboundListenPort: config.proxyInboundListenPort,
    inboundTrafficPolicy: config.inboundTrafficPolicy,
    gatewayTopology: config.defaultConfig.gatewayTopology,
    connectionSettings: config.defaultConfig.connectionSettings,
    proxyHeaders: config.defaultConfig.proxyHeaders,
    proxyMetadata: config.defaultConfig.proxyMetadata,
    proxyConcurrency: config.defaultConfig.concurrency,
    proxyStatsMatcher: config.defaultConfig.proxyStatsMatcher,
    meshId: config.defaultConfig.meshId,
    tracing: config.defaultConfig.tracing,
    tracingServiceName: config.defaultConfig.tracingServiceName,
    traceSamplingPercent: settings.traceSamplingPercent ?? defaultSamplingPercent,
    localityLbSetting: config.localityLbSetting,
    zoneAwareLbSetting: config.zoneAwareLbSetting,
    defaultHttpRetryPolicy: config.defaultHttpRetryPolicy,
    defaultTrafficPolicy: config.defaultTrafficPolicy,
    serviceSettings: config.serviceSettings,
    serviceEntryVisibility: config.serviceEntryVisibility,
    serviceScopeConfigs: config.serviceScopeConfigs,
    accessLogFile: config.accessLogFile,
    accessLogFormat: config.accessLogFormat,
    accessLogEncoding: config.accessLogEncoding,
    pathNormalization: config.pathNormalization,
  };
}

function switches(settings: OwnOptions) {
  return {
    ambientMultiNetwork: settings.clusters?.ambient.enabled ?? false,
    ...(settings.clusters === undefined
      ? {}
      : {
          ambientNetworkCrossing: settings.clusters.ambient.crossing,
          networkGateways: settings.clusters.networkGateways,
        }),
    ...multiClusterServices(settings.clusters),
    wildcardTlsAtWaypoints: settings.wildcardTlsAtWaypoints ?? false,
    ...(settings.dynamicDnsMaxHosts === undefined ? {} : { dynamicDnsMaxHosts: settings.dynamicDnsMaxHosts }),
    acceptsHttp10: settings.acceptsHttp10 ?? false,
    ...(settings.unreadyEndpoints === undefined ? {} : { unreadyEndpoints: settings.unreadyEndpoints }),
    ...(settings.exchangedLabels === undefined ? {} : { exchangedLabels: settings.exchangedLabels }),
    gatewaysIgnoreSelectors: settings.gatewaysIgnoreSelectors ?? false,
    gatewaysStayInNamespace: settings.gatewaysStayInNamespace ?? false,
    ...(settings.keySetFetcher === undefined ? {} : { keySetFetcher: settings.keySetFetcher }),
    severalAuthorizers: settings.severalAuthorizers ?? false,
    ...(settings.sessions === undefined ? {} : { sessions: settings.sessions }),
    shadowHostSuffix: settings.shadowHostSuffix ?? false,
    ...(settings.compliance === undefined ? {} : { compliance: settings.compliance }),
    ...(settings.hbone === undefined ? {} : { hbone: settings.hbone }),
  };
}

function multiClusterServices(
  clusters: ControlPlaneSettings["clusters"] | undefined,
): Pick<MeshSettings, "multiClusterServices"> {
  if (clusters?.services.discovery !== true) return {};
  const { api, host, clusterLocal } = clusters.services;
  return { multiClusterServices: { group: api.group, host, clusterLocal } };
}

function ingressSettings(config: MeshConfig): Omit<NonNullable<MeshSettings["ingress"]>, "namespace"> {
  return {
    mode: config.ingressControllerMode,
    className: config.ingressClass,
    service: config.ingressService,
    selector: config.ingressSelector,
  };
}
