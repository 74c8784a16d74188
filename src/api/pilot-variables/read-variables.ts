/** What a variable of the environment holds. Helm's schema checks booleans. */
type VariableType = "boolean" | "other";

/** The variables of upstream's control plane that this one, its injector or its proxies read. */
const readVariables: Readonly<Record<string, VariableType>> = {
  AMBIENT_ENABLE_MULTI_NETWORK: "boolean",
  AMBIENT_ENABLE_MULTI_NETWORK_INGRESS: "boolean",
  AMBIENT_ENABLE_MULTI_NETWORK_WAYPOINT: "boolean",
  BLOCKED_CIDRS_IN_JWKS_URIS: "other",
  CA_TRUSTED_NODE_ACCOUNTS: "other",
  CLUSTER_ID: "other",
  COMPLIANCE_POLICY: "other",
  DISABLE_SHADOW_HOST_SUFFIX: "boolean",
  ENABLE_CLUSTER_TRUST_BUNDLE_API: "boolean",
  ENABLE_MCS_AUTO_EXPORT: "other",
  ENABLE_MCS_CLUSTER_LOCAL: "other",
  ENABLE_MCS_HOST: "other",
  ENABLE_MCS_SERVICE_DISCOVERY: "other",
  ENABLE_NATIVE_SIDECARS: "other",
  ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY: "boolean",
  ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS: "boolean",
  ISTIO_GPRC_MAXRECVMSGSIZE: "other",
  ISTIO_MULTIROOT_MESH: "boolean",
  MCS_API_GROUP: "other",
  MCS_API_VERSION: "other",
  METRICS_LOCALHOST_ACCESS_ONLY: "other",
  PILOT_AGENT_MERGE_ENVOY_STATS: "other",
  PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS: "other",
  PILOT_ANALYSIS_INTERVAL: "other",
  PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS: "boolean",
  PILOT_CA_CERT_CONFIGMAP: "other",
  PILOT_CERT_PROVIDER: "other",
  PILOT_CRL_CONFIGMAP: "other",
  PILOT_DRAINING_LABEL: "other",
  PILOT_ENABLE_ANALYSIS: "boolean",
  PILOT_ENABLE_CA_CRL: "boolean",
  PILOT_ENABLE_IP_AUTOALLOCATE: "boolean",
  PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS: "boolean",
  PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS: "boolean",
  PILOT_ENABLE_PERSISTENT_SESSION_FILTER: "boolean",
  PILOT_ENABLE_SENDING_HBONE: "boolean",
  PILOT_ENABLE_SIDECAR_LISTENING_HBONE: "boolean",
  PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION: "boolean",
  PILOT_HTTP10: "boolean",
  PILOT_IGNORE_RESOURCES: "other",
  PILOT_INCLUDE_RESOURCES: "other",
  PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS: "other",
  PILOT_IP_AUTOALLOCATE_IPV4_PREFIX: "other",
  PILOT_IP_AUTOALLOCATE_IPV6_PREFIX: "other",
  PILOT_JWT_ENABLE_REMOTE_JWKS: "other",
  PILOT_MULTICLUSTER_KUBECONFIG_PATH: "other",
  PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API: "boolean",
  PILOT_MX_ADDITIONAL_LABELS: "other",
  PILOT_NETWORK_GATEWAY_NAMESPACES: "other",
  PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME: "other",
  PILOT_PERSISTENT_SESSION_HEADER_LABEL: "other",
  PILOT_PERSISTENT_SESSION_LABEL: "other",
  PILOT_PREFER_SENDING_HBONE: "boolean",
  PILOT_REMOTE_CLUSTER_TIMEOUT: "other",
  PILOT_SCOPE_GATEWAY_TO_NAMESPACE: "boolean",
  PILOT_SEND_UNHEALTHY_ENDPOINTS: "boolean",
  PILOT_TRACE_SAMPLING: "other",
  PILOT_WORKLOAD_ENTRY_GRACE_PERIOD: "other",
  RESOLVE_HOSTNAME_GATEWAYS: "boolean",
  USE_CACERTS_FOR_SELF_SIGNED_CA: "boolean",
  VALIDATION_WEBHOOK_CONFIG_NAME: "other",
};

/** The names of the control plane's variables that are true or false. */
export const booleanVariables: readonly string[] = Object.keys(readVariables).filter(
  (name) => readVariables[name] === "boolean",
);

/** Whether the control plane, its injector or its proxies read the variable. */
export function readsVariable(name: string): boolean {
  return Object.hasOwn(readVariables, name);
}
