// The kinds of Banzai Cloud's operator: types, and parsers for users' objects.
export type { GatewayConfiguration } from "./gateway-configuration.ts";
export {
  banzaiIstioKind,
  isRelease,
  minorOf,
  parseBanzaiIstio,
  resourceSuffixOf,
  revisionLabelOf,
  type BanzaiIstio,
  type BanzaiIstioSpec,
  type BanzaiStatus,
} from "./istio.ts";
export { banzaiRemoteIstioKind } from "./remote-istio.ts";
export { banzaiMeshGatewayKind, parseBanzaiMeshGateway, type BanzaiMeshGateway } from "./mesh-gateway.ts";
