export {
  authorizationPolicyKind,
  parseAuthorizationPolicy,
  type AuthorizationAction,
  type AuthorizationCondition,
  type AuthorizationOperation,
  type AuthorizationPolicy,
  type AuthorizationRule,
  type AuthorizationSource,
} from "./authorization-policy.ts";
export {
  parseIstioOperator,
  type ComponentSpec,
  type GatewaySpec,
  type IstioComponents,
  type IstioOperator,
  type IstioOperatorSpec,
  type KubernetesSettings,
  type Overlay,
} from "./istio-operator.ts";
export { istioAnnotations, istioLabels } from "./labels.ts";
export { parseMeshConfig, parseProxyConfig, type MeshConfig, type ProxyConfig } from "./mesh-config.ts";
export { parsePeerAuthentication, peerAuthenticationKind, type MutualTlsMode, type PeerAuthentication } from "./peer-authentication.ts";
export { networkingGroup, securityGroup, type PolicyTargetReference } from "./policy-target.ts";
