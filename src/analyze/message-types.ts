import type { Level } from "./level.ts";

export interface MessageType {
  /** `IST0101` for messages that Istio has, `SER0101` for messages of Serin's own. A code is never used again. */
  readonly code: string;
  /** Whether Istio has the message. Its site then describes it. */
  readonly isOfIstio: boolean;
  readonly name: string;
  readonly level: Level;
  readonly description: string;
}

function type(code: string, name: string, level: Level, description: string): MessageType {
  return { code, isOfIstio: true, name, level, description };
}

/** A message that Istio does not have. */
function ownType(code: string, name: string, level: Level, description: string): MessageType {
  return { ...type(code, name, level, description), isOfIstio: false };
}

/** All messages. The codes, names and levels of IST… are those of Istio 1.31. The texts are ours. */
export const messageTypes = {
  deprecated: type("IST0002", "Deprecated", "Warning", "Something in use is deprecated or was removed."),
  referencedResourceNotFound: type(
    "IST0101",
    "ReferencedResourceNotFound",
    "Error",
    "The object refers to something that does not exist.",
  ),
  namespaceNotInjected: type("IST0102", "NamespaceNotInjected", "Info", "The namespace is not part of the mesh."),
  podMissingProxy: type("IST0103", "PodMissingProxy", "Warning", "A pod that should have a sidecar has none."),
  schemaValidationError: type("IST0106", "SchemaValidationError", "Error", "A field has an invalid value."),
  misplacedAnnotation: type(
    "IST0107",
    "MisplacedAnnotation",
    "Warning",
    "An annotation has no effect on this kind of object.",
  ),
  unknownAnnotation: type("IST0108", "UnknownAnnotation", "Warning", "Nothing reads the annotation."),
  conflictingMeshGatewayVirtualServiceHosts: type(
    "IST0109",
    "ConflictingMeshGatewayVirtualServiceHosts",
    "Error",
    "Several VirtualServices route the same host in the mesh.",
  ),
  conflictingSidecarWorkloadSelectors: type(
    "IST0110",
    "ConflictingSidecarWorkloadSelectors",
    "Error",
    "Several Sidecars select the same pod.",
  ),
  multipleSidecarsWithoutWorkloadSelectors: type(
    "IST0111",
    "MultipleSidecarsWithoutWorkloadSelectors",
    "Error",
    "Several Sidecars apply to a whole namespace.",
  ),
  virtualServiceDestinationPortSelectorRequired: type(
    "IST0112",
    "VirtualServiceDestinationPortSelectorRequired",
    "Error",
    "A destination has several ports, and the route names none.",
  ),
  deploymentAssociatedToMultipleServices: type(
    "IST0116",
    "DeploymentAssociatedToMultipleServices",
    "Warning",
    "Services give the same port of a workload different protocols.",
  ),
  portNameIsNotUnderNamingConvention: type(
    "IST0118",
    "PortNameIsNotUnderNamingConvention",
    "Info",
    "The name of a port gives no protocol.",
  ),
  namespaceMultipleInjectionLabels: type(
    "IST0123",
    "NamespaceMultipleInjectionLabels",
    "Warning",
    "Labels of a namespace contradict each other.",
  ),
  invalidAnnotation: type("IST0125", "InvalidAnnotation", "Warning", "The value of an annotation cannot be used."),
  unknownMeshNetworksServiceRegistry: type(
    "IST0126",
    "UnknownMeshNetworksServiceRegistry",
    "Error",
    "The mesh networks name a cluster that the control plane does not read.",
  ),
  noMatchingWorkloadsFound: type(
    "IST0127",
    "NoMatchingWorkloadsFound",
    "Warning",
    "A policy selects no workload of the mesh.",
  ),
  noServerCertificateVerificationDestinationLevel: type(
    "IST0128",
    "NoServerCertificateVerificationDestinationLevel",
    "Warning",
    "TLS to a server names no authority (caCertificates).",
  ),
  noServerCertificateVerificationPortLevel: type(
    "IST0129",
    "NoServerCertificateVerificationPortLevel",
    "Warning",
    "TLS to a port of a server names no authority (caCertificates).",
  ),
  virtualServiceUnreachableRule: type(
    "IST0130",
    "VirtualServiceUnreachableRule",
    "Warning",
    "A rule never matches, because earlier rules match everything that it would.",
  ),
  virtualServiceIneffectiveMatch: type(
    "IST0131",
    "VirtualServiceIneffectiveMatch",
    "Info",
    "A match is never used, because earlier rules match everything that it would.",
  ),
  virtualServiceHostNotFoundInGateway: type(
    "IST0132",
    "VirtualServiceHostNotFoundInGateway",
    "Warning",
    "A gateway does not listen for the hosts of a VirtualService.",
  ),
  schemaWarning: type("IST0133", "SchemaWarning", "Warning", "A field has a valid value that is probably a mistake."),
  serviceEntryAddressesRequired: type(
    "IST0134",
    "ServiceEntryAddressesRequired",
    "Warning",
    "A TCP port of a ServiceEntry has no address to tell its traffic by.",
  ),
  deprecatedAnnotation: type("IST0135", "DeprecatedAnnotation", "Info", "The annotation is deprecated."),
  deploymentConflictingPorts: type(
    "IST0137",
    "DeploymentConflictingPorts",
    "Warning",
    "Services reach the same port of a workload through different ports.",
  ),
  gatewayDuplicateCertificate: type(
    "IST0138",
    "GatewayDuplicateCertificate",
    "Warning",
    "Several gateways serve the same certificate.",
  ),
  invalidWebhook: type(
    "IST0139",
    "InvalidWebhook",
    "Error",
    "An injection webhook overlaps another, or its Service does not exist.",
  ),
  ingressRouteRulesNotAffected: type(
    "IST0140",
    "IngressRouteRulesNotAffected",
    "Warning",
    "Requests of a gateway bypass the subsets of another VirtualService.",
  ),
  invalidApplicationUid: type(
    "IST0144",
    "InvalidApplicationUID",
    "Warning",
    "An application runs as the user of the proxy.",
  ),
  conflictingGateways: type(
    "IST0145",
    "ConflictingGateways",
    "Error",
    "Several Gateways use the same host on the same port.",
  ),
  imageAutoWithoutInjectionWarning: type(
    "IST0146",
    "ImageAutoWithoutInjectionWarning",
    "Warning",
    "A template needs an injection that will not happen.",
  ),
  imageAutoWithoutInjectionError: type(
    "IST0147",
    "ImageAutoWithoutInjectionError",
    "Error",
    "A pod was not injected, although it needs to be.",
  ),
  namespaceInjectionEnabledByDefault: type(
    "IST0148",
    "NamespaceInjectionEnabledByDefault",
    "Info",
    "The namespace is injected, because it has no other label.",
  ),
  jwtClaimBasedRoutingWithoutRequestAuthN: type(
    "IST0149",
    "JwtClaimBasedRoutingWithoutRequestAuthN",
    "Error",
    "A route matches claims that nothing checks.",
  ),
  externalNameServiceTypeInvalidPortName: type(
    "IST0150",
    "ExternalNameServiceTypeInvalidPortName",
    "Warning",
    "A port of an ExternalName Service receives traffic for other hosts too.",
  ),
  envoyFilterUsesRelativeOperation: type(
    "IST0151",
    "EnvoyFilterUsesRelativeOperation",
    "Warning",
    "A patch depends on others, and has no priority.",
  ),
  envoyFilterUsesReplaceOperationIncorrectly: type(
    "IST0152",
    "EnvoyFilterUsesReplaceOperationIncorrectly",
    "Error",
    "REPLACE is not possible at this place.",
  ),
  envoyFilterUsesAddOperationIncorrectly: type(
    "IST0153",
    "EnvoyFilterUsesAddOperationIncorrectly",
    "Error",
    "ADD is not possible at this place.",
  ),
  envoyFilterUsesRemoveOperationIncorrectly: type(
    "IST0154",
    "EnvoyFilterUsesRemoveOperationIncorrectly",
    "Error",
    "REMOVE is not possible at this place.",
  ),
  envoyFilterUsesRelativeOperationWithProxyVersion: type(
    "IST0155",
    "EnvoyFilterUsesRelativeOperationWithProxyVersion",
    "Warning",
    "A patch depends on one that is for some proxy versions only.",
  ),
  invalidTelemetryProvider: type(
    "IST0157",
    "InvalidTelemetryProvider",
    "Warning",
    "Access logs are turned on, but no provider writes them.",
  ),
  podsIstioProxyImageMismatchInNamespace: type(
    "IST0158",
    "PodsIstioProxyImageMismatchInNamespace",
    "Warning",
    "Sidecars run another image than the injector would use now.",
  ),
  conflictingTelemetryWorkloadSelectors: type(
    "IST0159",
    "ConflictingTelemetryWorkloadSelectors",
    "Error",
    "Several Telemetries select the same pod.",
  ),
  multipleTelemetriesWithoutWorkloadSelectors: type(
    "IST0160",
    "MultipleTelemetriesWithoutWorkloadSelectors",
    "Error",
    "Several Telemetries apply to a whole namespace.",
  ),
  invalidGatewayCredential: type(
    "IST0161",
    "InvalidGatewayCredential",
    "Error",
    "The secret of a gateway has no usable certificate.",
  ),
  gatewayPortNotDefinedOnService: type(
    "IST0162",
    "GatewayPortNotDefinedOnService",
    "Warning",
    "No Service forwards to the port of a gateway.",
  ),
  invalidExternalControlPlaneConfig: type(
    "IST0163",
    "InvalidExternalControlPlaneConfig",
    "Warning",
    "A webhook does not lead to a control plane.",
  ),
  externalControlPlaneAddressIsNotAHostname: type(
    "IST0164",
    "ExternalControlPlaneAddressIsNotAHostname",
    "Info",
    "A webhook leads to a control plane outside the cluster by an IP address.",
  ),
  referencedInternalGateway: type(
    "IST0165",
    "ReferencedInternalGateway",
    "Warning",
    "A VirtualService names a gateway that the control plane generated.",
  ),
  ineffectiveSelector: type(
    "IST0166",
    "IneffectiveSelector",
    "Warning",
    "A policy with a selector has no effect on a Gateway API gateway.",
  ),
  ineffectivePolicy: type("IST0167", "IneffectivePolicy", "Warning", "A policy has no effect on its target."),
  negativeConditionStatus: type(
    "IST0171",
    "NegativeConditionStatus",
    "Warning",
    "The control plane reports that an object does not work.",
  ),
  destinationRuleSubsetNotSelectPods: type(
    "IST0173",
    "DestinationRuleSubsetNotSelectPods",
    "Error",
    "A subset has no pods.",
  ),
  unknownDestinationRuleHost: type(
    "IST0174",
    "UnknownDestinationRuleHost",
    "Warning",
    "The host of a DestinationRule does not exist.",
  ),
  jwksUriFetchUnrestricted: type(
    "IST0175",
    "JwksUriFetchUnrestricted",
    "Warning",
    "Key sets may be fetched from any address.",
  ),
  gatewayApiCrdVersionBelowMinimum: type(
    "IST0176",
    "GatewayAPICRDVersionBelowMinimum",
    "Warning",
    "A definition of the Gateway API is too old.",
  ),
  conflictingServiceEntryProtocol: type(
    "IST0177",
    "ConflictingServiceEntryProtocol",
    "Warning",
    "ServiceEntries give the same port different protocols.",
  ),
  routeRuleShadowed: ownType(
    "SER0101",
    "RouteRuleShadowed",
    "Warning",
    "Another rule gets requests that this rule also matches.",
  ),
  referenceNotGranted: ownType(
    "SER0102",
    "ReferenceNotGranted",
    "Error",
    "An object refers to another namespace without a ReferenceGrant.",
  ),
  meshWaypointNotServed: ownType(
    "SER0103",
    "MeshWaypointNotServed",
    "Error",
    "A waypoint is written in a version that the cluster does not serve.",
  ),
  weightsNotHundred: ownType("SER0104", "WeightsNotHundred", "Warning", "Weights do not sum up to 100."),
  gatewayHostIsShort: ownType(
    "SER0105",
    "GatewayHostIsShort",
    "Warning",
    "Clients of a gateway send another host than the routed one.",
  ),
  meshClientsPassGatewayBy: ownType(
    "SER0106",
    "MeshClientsPassGatewayBy",
    "Info",
    "Clients in the mesh do not use routes that are for gateways only.",
  ),
  kindNotServed: ownType("SER0107", "KindNotServed", "Error", "The cluster has no definition of a kind."),
  unknownRevision: ownType("SER0108", "UnknownRevision", "Error", "A label names a revision that is not installed."),
  fieldWithoutEffect: ownType(
    "SER0110",
    "FieldWithoutEffect",
    "Warning",
    "A field has no effect, or none on Serin's own proxies.",
  ),
  beyondLimit: ownType(
    "SER0111",
    "BeyondLimit",
    "Warning",
    "Objects multiply beyond a limit of a proxy, so a part of one has no effect.",
  ),
  podOfOtherRevision: ownType(
    "SER0109",
    "PodOfOtherRevision",
    "Warning",
    "A pod runs the proxy of another revision than its namespace's.",
  ),
} as const satisfies Readonly<Record<string, MessageType>>;

export function isMessageCode(code: string): boolean {
  return Object.values(messageTypes).some((known) => known.code === code);
}
