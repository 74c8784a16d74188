export {
  authorizationPolicyKind,
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
export { parseMeshConfig, type MeshConfig, type PathNormalization, type ProxyConfig } from "./mesh-config.ts";
export { peerAuthenticationKind, type MutualTlsMode, type PeerAuthentication } from "./peer-authentication.ts";
export type { PolicyTargetReference } from "./policy-target.ts";
