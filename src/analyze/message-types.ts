import type { Level } from "./level.ts";

export interface MessageType {
  /** `IST0101` for Istio's messages, `SER0101` for messages that only Serin has. A code is never reused. */
  readonly code: string;
  readonly name: string;
  readonly level: Level;
  /** One line for a list of messages. */
  readonly description: string;
}

function type(code: string, name: string, level: Level, description: string): MessageType {
  return { code, name, level, description };
}

/** All messages of the analysis. Codes, names and levels of IST… are those of Istio 1.31. The texts are Serin's. */
export const messageTypes = {
  deprecated: type("IST0002", "Deprecated", "Warning", "Something in use is deprecated or gone."),
  referencedResourceNotFound: type(
    "IST0101",
    "ReferencedResourceNotFound",
    "Error",
    "What is referred to is not there.",
  ),
  namespaceNotInjected: type("IST0102", "NamespaceNotInjected", "Info", "The namespace takes no part in the mesh."),
  podMissingProxy: type("IST0103", "PodMissingProxy", "Warning", "A pod that should have a sidecar has none."),
  schemaValidationError: type("IST0106", "SchemaValidationError", "Error", "A field has a value that is refused."),
  misplacedAnnotation: type(
    "IST0107",
    "MisplacedAnnotation",
    "Warning",
    "An annotation has no effect on this kind of object.",
  ),
  unknownAnnotation: type("IST0108", "UnknownAnnotation", "Warning", "Nobody reads the annotation."),
  conflictingMeshGatewayVirtualServiceHosts: type(
    "IST0109",
    "ConflictingMeshGatewayVirtualServiceHosts",
    "Error",
    "Several VirtualServices route one host in the mesh.",
  ),
  conflictingSidecarWorkloadSelectors: type(
    "IST0110",
    "ConflictingSidecarWorkloadSelectors",
    "Error",
    "Several Sidecars select one pod.",
  ),
  multipleSidecarsWithoutWorkloadSelectors: type(
    "IST0111",
    "MultipleSidecarsWithoutWorkloadSelectors",
    "Error",
    "Several Sidecars are for a whole namespace.",
  ),
  virtualServiceDestinationPortSelectorRequired: type(
    "IST0112",
    "VirtualServiceDestinationPortSelectorRequired",
    "Error",
    "A destination has several ports and the route names none.",
  ),
  deploymentAssociatedToMultipleServices: type(
    "IST0116",
    "DeploymentAssociatedToMultipleServices",
    "Warning",
    "Services give one port of a workload different protocols.",
  ),
  portNameIsNotUnderNamingConvention: type(
    "IST0118",
    "PortNameIsNotUnderNamingConvention",
    "Info",
    "The name of a port tells no protocol.",
  ),
  namespaceMultipleInjectionLabels: type(
    "IST0123",
    "NamespaceMultipleInjectionLabels",
    "Warning",
    "Labels of a namespace contradict each other.",
  ),
  invalidAnnotation: type("IST0125", "InvalidAnnotation", "Warning", "The value of an annotation cannot be used."),
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
    "The server's certificate is not verified.",
  ),
  noServerCertificateVerificationPortLevel: type(
    "IST0129",
    "NoServerCertificateVerificationPortLevel",
    "Warning",
    "The server's certificate is not verified on a port.",
  ),
  virtualServiceUnreachableRule: type(
    "IST0130",
    "VirtualServiceUnreachableRule",
    "Warning",
    "Earlier rules leave a rule nothing to match.",
  ),
  virtualServiceIneffectiveMatch: type(
    "IST0131",
    "VirtualServiceIneffectiveMatch",
    "Info",
    "Earlier rules leave a match nothing to match.",
  ),
  virtualServiceHostNotFoundInGateway: type(
    "IST0132",
    "VirtualServiceHostNotFoundInGateway",
    "Warning",
    "A gateway does not listen for the hosts of a VirtualService.",
  ),
  schemaWarning: type("IST0133", "SchemaWarning", "Warning", "A field is taken but likely not meant so."),
  serviceEntryAddressesRequired: type(
    "IST0134",
    "ServiceEntryAddressesRequired",
    "Warning",
    "A TCP port of a ServiceEntry has no address to be told by.",
  ),
  deprecatedAnnotation: type("IST0135", "DeprecatedAnnotation", "Info", "The annotation will go."),
  deploymentConflictingPorts: type(
    "IST0137",
    "DeploymentConflictingPorts",
    "Warning",
    "Services lead to one port of a workload by different ports.",
  ),
  gatewayDuplicateCertificate: type(
    "IST0138",
    "GatewayDuplicateCertificate",
    "Warning",
    "Several gateways serve one certificate.",
  ),
  invalidWebhook: type("IST0139", "InvalidWebhook", "Error", "An injection webhook overlaps another or leads nowhere."),
  ingressRouteRulesNotAffected: type(
    "IST0140",
    "IngressRouteRulesNotAffected",
    "Warning",
    "Requests of a gateway pass by the subsets of another VirtualService.",
  ),
  invalidApplicationUid: type(
    "IST0144",
    "InvalidApplicationUID",
    "Warning",
    "An application runs as the user of the proxy.",
  ),
  conflictingGateways: type("IST0145", "ConflictingGateways", "Error", "Several Gateways want one host of one port."),
  imageAutoWithoutInjectionWarning: type(
    "IST0146",
    "ImageAutoWithoutInjectionWarning",
    "Warning",
    "A template waits for an injection that will not come.",
  ),
  imageAutoWithoutInjectionError: type(
    "IST0147",
    "ImageAutoWithoutInjectionError",
    "Error",
    "A pod was not injected although it had to be.",
  ),
  namespaceInjectionEnabledByDefault: type(
    "IST0148",
    "NamespaceInjectionEnabledByDefault",
    "Info",
    "The namespace is injected as it says nothing else.",
  ),
  jwtClaimBasedRoutingWithoutRequestAuthN: type(
    "IST0149",
    "JwtClaimBasedRoutingWithoutRequestAuthN",
    "Error",
    "A route goes by claims that nobody checks.",
  ),
  externalNameServiceTypeInvalidPortName: type(
    "IST0150",
    "ExternalNameServiceTypeInvalidPortName",
    "Warning",
    "A port of an ExternalName Service takes more traffic than its own.",
  ),
  envoyFilterUsesRelativeOperation: type(
    "IST0151",
    "EnvoyFilterUsesRelativeOperation",
    "Warning",
    "A patch depends on others and has no priority.",
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
    "A patch depends on another of some versions only.",
  ),
  invalidTelemetryProvider: type(
    "IST0157",
    "InvalidTelemetryProvider",
    "Warning",
    "Access logs are wanted but no provider writes them.",
  ),
  podsIstioProxyImageMismatchInNamespace: type(
    "IST0158",
    "PodsIstioProxyImageMismatchInNamespace",
    "Warning",
    "Sidecars run another image than would be injected now.",
  ),
  conflictingTelemetryWorkloadSelectors: type(
    "IST0159",
    "ConflictingTelemetryWorkloadSelectors",
    "Error",
    "Several Telemetries select one pod.",
  ),
  multipleTelemetriesWithoutWorkloadSelectors: type(
    "IST0160",
    "MultipleTelemetriesWithoutWorkloadSelectors",
    "Error",
    "Several Telemetries are for a whole namespace.",
  ),
  invalidGatewayCredential: type(
    "IST0161",
    "InvalidGatewayCredential",
    "Error",
    "The secret of a gateway holds no usable certificate.",
  ),
  gatewayPortNotDefinedOnService: type(
    "IST0162",
    "GatewayPortNotDefinedOnService",
    "Warning",
    "No Service leads to the port of a gateway.",
  ),
  referencedInternalGateway: type(
    "IST0165",
    "ReferencedInternalGateway",
    "Warning",
    "A VirtualService names a gateway that the control plane made for itself.",
  ),
  ineffectiveSelector: type(
    "IST0166",
    "IneffectiveSelector",
    "Warning",
    "A selector does not reach a Gateway API gateway.",
  ),
  ineffectivePolicy: type("IST0167", "IneffectivePolicy", "Warning", "A policy has no effect on what it is for."),
  negativeConditionStatus: type(
    "IST0171",
    "NegativeConditionStatus",
    "Warning",
    "The control plane says that an object does not work.",
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
    "A DestinationRule is for a host that is not there.",
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
    "ServiceEntries give one port different protocols.",
  ),
  routeRuleShadowed: type(
    "SER0101",
    "RouteRuleShadowed",
    "Warning",
    "Another rule takes requests that this rule is written for.",
  ),
  referenceNotGranted: type(
    "SER0102",
    "ReferenceNotGranted",
    "Error",
    "An object of another namespace is used without its permission.",
  ),
  meshWaypointNotServed: type(
    "SER0103",
    "MeshWaypointNotServed",
    "Error",
    "A waypoint is written in a version that the cluster does not serve.",
  ),
  weightsNotHundred: type("SER0104", "WeightsNotHundred", "Warning", "Weights are no percentages."),
  gatewayHostIsShort: type(
    "SER0105",
    "GatewayHostIsShort",
    "Warning",
    "Clients of a gateway send another host than the one that is routed.",
  ),
  meshClientsPassGatewayBy: type(
    "SER0106",
    "MeshClientsPassGatewayBy",
    "Info",
    "Clients in the mesh do not see routes that are for gateways.",
  ),
  kindNotServed: type("SER0107", "KindNotServed", "Error", "The cluster has no definition of a kind."),
  unknownRevision: type("SER0108", "UnknownRevision", "Error", "A label names a revision that no control plane has."),
  fieldWithoutEffect: type(
    "SER0110",
    "FieldWithoutEffect",
    "Warning",
    "A field does nothing, or nothing at Serin's own proxies.",
  ),
  podOfOtherRevision: type(
    "SER0109",
    "PodOfOtherRevision",
    "Warning",
    "A pod runs the proxy of another revision than its namespace names.",
  ),
} as const satisfies Readonly<Record<string, MessageType>>;

/** Whether there is a message with the code. */
export function isMessageCode(code: string): boolean {
  return Object.values(messageTypes).some((known) => known.code === code);
}
