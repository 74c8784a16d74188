import type { KindDefinition } from "../kind.ts";
import { authorizationPolicyKind } from "./security/authorization-policy.ts";
import { destinationRuleKind } from "./destination-rule/destination-rule.ts";
import { envoyFilterKind } from "./envoy-filter/envoy-filter.ts";
import { trafficExtensionKind, wasmPluginKind } from "./extensions.ts";
import { istioGatewayKind } from "./networking/istio-gateway.ts";
import { peerAuthenticationKind } from "./security/peer-authentication.ts";
import { proxyConfigKind } from "./mesh-config/proxy-config-object.ts";
import { requestAuthenticationKind } from "./security/request-authentication.ts";
import { serviceEntryKind } from "./networking/service-entry.ts";
import { sidecarKind } from "./networking/sidecar.ts";
import { telemetryKind } from "./telemetry.ts";
import { virtualServiceKind } from "./virtual-service/virtual-service.ts";
import { workloadEntryKind } from "./networking/workload-entry.ts";
import { workloadGroupKind } from "./networking/workload-group.ts";

export const istioKinds: readonly KindDefinition[] = [
  authorizationPolicyKind,
  destinationRuleKind,
  envoyFilterKind,
  istioGatewayKind,
  peerAuthenticationKind,
  proxyConfigKind,
  requestAuthenticationKind,
  serviceEntryKind,
  sidecarKind,
  telemetryKind,
  trafficExtensionKind,
  virtualServiceKind,
  wasmPluginKind,
  workloadEntryKind,
  workloadGroupKind,
];
