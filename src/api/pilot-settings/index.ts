// The settings of the control plane: its environment and arguments, read and checked.
export { readControlPlaneSettings } from "./control-plane-options.ts";
export type { ControlPlaneSettings, NodeTaintSettings, ShadowSettings } from "./control-plane-options.ts";
export {
  defaultDynamicDnsHosts,
  defaultSessionRules,
  type CertificateLifetimes,
  type HboneSettings,
  type KeySetFetcher,
  type SelfSignedOptions,
  type SessionRules,
  type UnreadyEndpoints,
} from "./pilot-types.ts";
export type { NetworkGatewayPolicy } from "./cluster-options.ts";
export { pilotFaults } from "./pilot-faults.ts";
export { readResourceFilter, type IsIgnored } from "./resource-filter.ts";
