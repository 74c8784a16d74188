import pilotVariables from "#generated/istio/pilot-variables.json" with { type: "json" };

/** The feature flags of upstream's control plane that this one, its injector or its proxies read. */
const read: ReadonlySet<string> = new Set([
  "BLOCKED_CIDRS_IN_JWKS_URIS",
  "CA_TRUSTED_NODE_ACCOUNTS",
  "CLUSTER_ID",
  "COMPLIANCE_POLICY",
  "DISABLE_SHADOW_HOST_SUFFIX",
  "ENABLE_CLUSTER_TRUST_BUNDLE_API",
  "ENABLE_MCS_AUTO_EXPORT",
  "ENABLE_MCS_CLUSTER_LOCAL",
  "ENABLE_MCS_HOST",
  "ENABLE_MCS_SERVICE_DISCOVERY",
  "ENABLE_NATIVE_SIDECARS",
  "ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY",
  "ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS",
  "ISTIO_GPRC_MAXRECVMSGSIZE",
  "ISTIO_MULTIROOT_MESH",
  "MCS_API_GROUP",
  "MCS_API_VERSION",
  "METRICS_LOCALHOST_ACCESS_ONLY",
  "PILOT_AGENT_MERGE_ENVOY_STATS",
  "PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS",
  "PILOT_ANALYSIS_INTERVAL",
  "PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS",
  "PILOT_CA_CERT_CONFIGMAP",
  "PILOT_CERT_PROVIDER",
  "PILOT_CRL_CONFIGMAP",
  "PILOT_DRAINING_LABEL",
  "PILOT_ENABLE_ANALYSIS",
  "PILOT_ENABLE_CA_CRL",
  "PILOT_ENABLE_IP_AUTOALLOCATE",
  "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS",
  "PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS",
  "PILOT_ENABLE_PERSISTENT_SESSION_FILTER",
  "PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION",
  "PILOT_HTTP10",
  "PILOT_IGNORE_RESOURCES",
  "PILOT_INCLUDE_RESOURCES",
  "PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS",
  "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX",
  "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX",
  "PILOT_JWT_ENABLE_REMOTE_JWKS",
  "PILOT_MULTICLUSTER_KUBECONFIG_PATH",
  "PILOT_MX_ADDITIONAL_LABELS",
  "PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME",
  "PILOT_PERSISTENT_SESSION_HEADER_LABEL",
  "PILOT_PERSISTENT_SESSION_LABEL",
  "PILOT_REMOTE_CLUSTER_TIMEOUT",
  "PILOT_SCOPE_GATEWAY_TO_NAMESPACE",
  "PILOT_SEND_UNHEALTHY_ENDPOINTS",
  "PILOT_TRACE_SAMPLING",
  "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD",
  "RESOLVE_HOSTNAME_GATEWAYS",
  "USE_CACERTS_FOR_SELF_SIGNED_CA",
  "VALIDATION_WEBHOOK_CONFIG_NAME",
]);

/** Flags that need no switch here, because what they ask for always happens. */
const always: Readonly<Record<string, string>> = {
  PILOT_ENABLE_AMBIENT: "true",
};

/** Those of the given variables that ask for something other than upstream's default, and have no effect here. */
export function unreadVariables(given: Readonly<Record<string, unknown>>): string[] {
  const defaults: Readonly<Record<string, string | null>> = pilotVariables.variables;
  return Object.entries(given).flatMap(([name, value]) => {
    const text = textOf(value);
    const isWanted = text !== "" && text !== defaults[name] && text !== always[name];
    return isWanted && Object.hasOwn(defaults, name) && !read.has(name) ? [name] : [];
  });
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "boolean" || typeof value === "number" ? String(value) : "";
}

/** Whether the control plane reads the variable, for the test that compares the flags with the sources. */
export function readsVariable(name: string): boolean {
  return read.has(name);
}
