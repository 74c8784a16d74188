export type { GatewayConfiguration, GatewayPort, ResourceReference } from "./gateway-configuration.ts";
export {
  banzaiIstioKind,
  minorOf,
  parseBanzaiIstio,
  resourceSuffixOf,
  revisionLabelOf,
  type BanzaiIstio,
  type BanzaiIstioSpec,
  type BanzaiStatus,
  type PilotConfiguration,
  type ProxyConfiguration,
} from "./istio.ts";
export { banzaiMeshGatewayKind, parseBanzaiMeshGateway, type BanzaiMeshGateway, type BanzaiMeshGatewaySpec } from "./mesh-gateway.ts";
