import type { KindDefinition } from "../kind.ts";
import { authorizationPolicyKind } from "./authorization-policy.ts";
import { destinationRuleKind } from "./destination-rule.ts";
import { envoyFilterKind } from "./envoy-filter.ts";
import { trafficExtensionKind, wasmPluginKind } from "./extensions.ts";
import { istioGatewayKind } from "./istio-gateway.ts";
import { peerAuthenticationKind } from "./peer-authentication.ts";
import { proxyConfigKind } from "./proxy-config-object.ts";
import { requestAuthenticationKind } from "./request-authentication.ts";
import { serviceEntryKind } from "./service-entry.ts";
import { sidecarKind } from "./sidecar.ts";
import { telemetryKind } from "./telemetry.ts";
import { virtualServiceKind } from "./virtual-service.ts";
import { workloadEntryKind } from "./workload-entry.ts";
import { workloadGroupKind } from "./workload-group.ts";

/** Every kind that Istio's control plane reads. Each has a parser. */
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
