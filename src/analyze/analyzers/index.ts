// The analyzers. Each one finds the messages of one subject.
import type { Analyzer } from "../analyzer.ts";
import { annotationsAnalyzer } from "./annotations.ts";
import { claimRouteAnalyzer } from "./claim-routes.ts";
import { caCertificateAnalyzer, subsetPodsAnalyzer } from "./destination-rules.ts";
import { entryAddressesAnalyzer, entryProtocolAnalyzer, envoyFilterAnalyzer } from "./entries-and-filters.ts";
import { routeReferenceAnalyzer, servedAnalyzer, waypointReferenceAnalyzer } from "./gateway-api.ts";
import {
  conflictingGatewayAnalyzer,
  gatewayCertificateAnalyzer,
  gatewayPortAnalyzer,
  gatewaySecretAnalyzer,
} from "./gateways.ts";
import { autoImageAnalyzer, injectionAnalyzer, podRevisionAnalyzer, proxyImageAnalyzer } from "./injection.ts";
import { limitAnalyzer } from "./limits.ts";
import { meshConfigAnalyzer, meshNetworksAnalyzer } from "./mesh-config.ts";
import {
  authorizationAnalyzer,
  conditionAnalyzer,
  definitionVersionAnalyzer,
  deprecationAnalyzer,
  gatewaySelectorAnalyzer,
  keySetAnalyzer,
} from "./policies.ts";
import { routeShadowAnalyzer } from "./route-shadows.ts";
import { gatewayHostAnalyzer, weightAnalyzer } from "./routing-surprises.ts";
import { schemaAnalyzer } from "./schema.ts";
import {
  sidecarSelectorAnalyzer,
  telemetryProviderAnalyzer,
  telemetrySelectorAnalyzer,
} from "./sidecars-and-telemetry.ts";
import {
  conflictingHostsAnalyzer,
  destinationHostAnalyzer,
  gatewayReferenceAnalyzer,
  subsetAnalyzer,
} from "./virtual-services.ts";
import { externalControlPlaneAnalyzer, webhookAnalyzer } from "./webhooks.ts";
import { applicationUserAnalyzer, multiServiceAnalyzer, portNameAnalyzer } from "./workloads-and-services.ts";

export const analyzers: readonly Analyzer[] = [
  schemaAnalyzer,
  servedAnalyzer,
  meshConfigAnalyzer,
  meshNetworksAnalyzer,
  annotationsAnalyzer,
  authorizationAnalyzer,
  keySetAnalyzer,
  conditionAnalyzer,
  multiServiceAnalyzer,
  applicationUserAnalyzer,
  caCertificateAnalyzer,
  subsetPodsAnalyzer,
  deprecationAnalyzer,
  envoyFilterAnalyzer,
  gatewayPortAnalyzer,
  gatewayCertificateAnalyzer,
  gatewaySecretAnalyzer,
  conflictingGatewayAnalyzer,
  injectionAnalyzer,
  podRevisionAnalyzer,
  proxyImageAnalyzer,
  autoImageAnalyzer,
  gatewaySelectorAnalyzer,
  definitionVersionAnalyzer,
  routeReferenceAnalyzer,
  routeShadowAnalyzer,
  waypointReferenceAnalyzer,
  portNameAnalyzer,
  sidecarSelectorAnalyzer,
  conflictingHostsAnalyzer,
  destinationHostAnalyzer,
  subsetAnalyzer,
  gatewayReferenceAnalyzer,
  claimRouteAnalyzer,
  weightAnalyzer,
  gatewayHostAnalyzer,
  entryAddressesAnalyzer,
  entryProtocolAnalyzer,
  webhookAnalyzer,
  externalControlPlaneAnalyzer,
  telemetryProviderAnalyzer,
  telemetrySelectorAnalyzer,
  limitAnalyzer,
];
