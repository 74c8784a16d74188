import type { CompliancePolicy } from "../../base/compliance/index.ts";
import { istioLabels, istioTokenVolume, rootSource, type StatsMatcher } from "../../api/istio/index.ts";
import type { PodTemplate } from "../../api/kubernetes/index.ts";
import { restrictedContext } from "../../api/pod-security/index.ts";
import type { GatewayPodValues } from "./pod-values.ts";

export interface ProxySettings {
  readonly revision: string;
  readonly image: string;
  /** The control plane's address, for example `istiod.istio-system.svc:15012`. */
  readonly discoveryAddress: string;
  readonly clusterId: string;
  /** The cluster's DNS domain, for example `cluster.local`. */
  readonly clusterDomain: string;
  readonly trustDomain: string;
  readonly network: string;
  /** The mesh config's environment variables for every proxy. */
  readonly proxyMetadata: Readonly<Record<string, string>>;
  /** The number of threads of a proxy. 0 means one for each core. If absent, the mesh config decides. */
  readonly concurrency?: number | undefined;
  /** The mesh config's `proxyStatsMatcher`. Absent if it has none. */
  readonly statsMatcher?: StatsMatcher | undefined;
  /** The compliance policy that the proxies' environment names. Absent if it names none. */
  readonly compliance?: CompliancePolicy | undefined;
  /** The fields of pods that the installation's values set. Absent if they set none. */
  readonly podValues?: GatewayPodValues | undefined;
}

export interface ProxyPod {
  readonly mode: "router" | "waypoint";
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const proxyUser = 1337;
const metricsPort = 15_020;
const statusPort = 15_021;
const envoyMetricsPort = 15_090;
/**
 * How long a draining proxy may take: it ends with its last connection, and a connection that is still open after this
 * time is cut. The proxy of a deleted Gateway loses its listeners, and then cuts connections after 45 s. Upstream uses
 * Kubernetes' default of 30 s, with which an upgrade would cut long connections.
 */
const terminationGracePeriodSeconds = 3600;
const usualRoot = rootSource({ clusterTrustBundle: false, trustBundleName: "" });

/** The pod template of a gateway proxy, as upstream's template makes it. */
export function proxyPodTemplate(proxy: ProxySettings, pod: ProxyPod): PodTemplate {
  return {
    metadata: {
      // With the Gateway's own label `istio.io/dataplane-mode: ambient`, connections to the proxy pass a ztunnel first.
      //
      // The last label keeps injectors away. Injectors obey annotations, which can mount any Secret of the namespace
      // and run any image. Users who may write a Gateway choose the annotations of its pods, but must not gain the
      // right to mount Secrets or to run images.
      labels: {
        [istioLabels.canonicalName]: pod.name,
        [istioLabels.canonicalRevision]: "latest",
        [istioLabels.dataplaneMode]: "none",
        ...pod.labels,
        [istioLabels.inject]: "false",
      },
      annotations: {
        ...pod.annotations,
        "prometheus.io/path": "/stats/prometheus",
        "prometheus.io/port": String(metricsPort),
        "prometheus.io/scrape": "true",
        [istioLabels.revision]: proxy.revision,
      },
    },
    spec: {
      serviceAccountName: pod.serviceAccount,
      terminationGracePeriodSeconds,
      // The kernel does not deliver SIGTERM to the first process of a PID namespace as long as it has no handler for
      // it. A pod that is deleted while its proxy starts would then stay for the whole grace period. In a shared PID
      // namespace, the first process is the pause container, so the proxy gets the signal.
      shareProcessNamespace: true,
      // The Gateway's ports, on which the proxy listens, may be below 1024.
      securityContext: { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] },
      containers: [proxyContainer(proxy, pod)],
      volumes: [
        { name: "workload-socket", emptyDir: {} },
        { name: "istio-envoy", emptyDir: { medium: "Memory" } },
        { name: "istio-data", emptyDir: {} },
        {
          name: "istio-podinfo",
          downwardAPI: {
            items: [
              { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
              { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
            ],
          },
        },
        istioTokenVolume("istio-ca"),
        { name: "istiod-ca-cert", ...(proxy.podValues?.root ?? usualRoot) },
      ],
      ...proxy.podValues?.pod,
      ...(pod.mode === "waypoint" ? proxy.podValues?.waypoint.pod : {}),
    },
  };
}

const defaultResources = { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2", memory: "1Gi" } };

function resourcesOf({ podValues }: ProxySettings, { mode }: ProxyPod): NonNullable<GatewayPodValues["resources"]> {
  return (mode === "waypoint" ? podValues?.waypoint.resources : podValues?.resources) ?? defaultResources;
}

function proxyContainer(proxy: ProxySettings, pod: ProxyPod): NonNullable<PodTemplate["spec"]>["containers"][number] {
  const seccompProfile = proxy.podValues?.seccompProfile;
  return {
    name: "istio-proxy",
    image: proxy.image,
    ...proxy.podValues?.container,
    args: [
      "proxy",
      pod.mode,
      "--domain",
      `$(POD_NAMESPACE).svc.${proxy.clusterDomain}`,
      "--proxyLogLevel",
      "warning",
      "--proxyComponentLogLevel",
      "misc:error",
      "--log_output_level",
      "default:info",
    ],
    ports: [
      { name: "metrics", containerPort: metricsPort, protocol: "TCP" },
      { name: "status-port", containerPort: statusPort, protocol: "TCP" },
      { name: "http-envoy-prom", containerPort: envoyMetricsPort, protocol: "TCP" },
    ],
    env: proxyEnvironment(proxy, pod),
    startupProbe: {
      httpGet: { path: "/healthz/ready", port: statusPort },
      // Ten minutes, as for a sidecar. Killing a proxy that starts slowly does not help, because its node stays slow.
      failureThreshold: 600,
      initialDelaySeconds: 1,
      periodSeconds: 1,
      timeoutSeconds: 1,
    },
    readinessProbe: {
      httpGet: { path: "/healthz/ready", port: statusPort },
      failureThreshold: 4,
      initialDelaySeconds: 0,
      periodSeconds: 15,
      successThreshold: 1,
      timeoutSeconds: 1,
    },
    resources: resourcesOf(proxy, pod),
    securityContext: {
      ...restrictedContext(proxyUser),
      ...(seccompProfile === undefined ? {} : { seccompProfile }),
    },
    volumeMounts: [
      { name: "workload-socket", mountPath: "/var/run/secrets/workload-spiffe-uds" },
      { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio" },
      { name: "istio-data", mountPath: "/var/lib/istio/data" },
      { name: "istio-envoy", mountPath: "/etc/istio/proxy" },
      { name: "istio-token", mountPath: "/var/run/secrets/tokens" },
      { name: "istio-podinfo", mountPath: "/etc/istio/pod" },
    ],
  };
}

/** Environment variables that the pod sets itself. The mesh config cannot override them. */
const ownVariables: ReadonlySet<string> = new Set(["ISTIO_META_ENABLE_HBONE"]);
/** The variable of the control plane's compliance policy, which the mesh config cannot override either. */
const policyVariable = "COMPLIANCE_POLICY";

function proxyEnvironment(
  proxy: ProxySettings,
  pod: ProxyPod,
): { name: string; value?: string; valueFrom?: { fieldRef: { fieldPath: string } } }[] {
  const field = (
    name: string,
    fieldPath: string,
  ): { name: string; valueFrom: { fieldRef: { fieldPath: string } } } => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  return [
    { name: "PILOT_CERT_PROVIDER", value: "istiod" },
    { name: "CA_ADDR", value: proxy.discoveryAddress },
    field("POD_NAME", "metadata.name"),
    field("POD_NAMESPACE", "metadata.namespace"),
    field("INSTANCE_IP", "status.podIP"),
    field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    field("HOST_IP", "status.hostIP"),
    field("NODE_NAME", "spec.nodeName"),
    {
      name: "PROXY_CONFIG",
      value: JSON.stringify({
        discoveryAddress: proxy.discoveryAddress,
        ...(proxy.concurrency === undefined ? {} : { concurrency: proxy.concurrency }),
        ...(proxy.statsMatcher === undefined ? {} : { proxyStatsMatcher: proxy.statsMatcher }),
        ...(Object.keys(proxy.proxyMetadata).length === 0 ? {} : { proxyMetadata: proxy.proxyMetadata }),
      }),
    },
    ...Object.entries(proxy.proxyMetadata)
      .filter(([name]) => !ownVariables.has(name) && (name !== policyVariable || proxy.compliance === undefined))
      .map(([name, value]) => ({ name, value })),
    // Upstream's templates omit this setting. Our proxies apply it to the tunnels that they open.
    ...(proxy.compliance === undefined ? [] : [{ name: policyVariable, value: proxy.compliance }]),
    { name: "ISTIO_META_POD_PORTS", value: "[]" },
    { name: "ISTIO_META_APP_CONTAINERS", value: "" },
    { name: "ISTIO_META_CLUSTER_ID", value: proxy.clusterId },
    field("ISTIO_META_NODE_NAME", "spec.nodeName"),
    { name: "ISTIO_META_INTERCEPTION_MODE", value: "REDIRECT" },
    { name: "ISTIO_META_WORKLOAD_NAME", value: pod.name },
    {
      name: "ISTIO_META_OWNER",
      value: `kubernetes://apis/apps/v1/namespaces/${pod.namespace}/deployments/${pod.name}`,
    },
    { name: "ISTIO_META_MESH_ID", value: proxy.trustDomain },
    { name: "ISTIO_META_ENABLE_HBONE", value: "true" },
    ...(proxy.network === "" ? [] : [{ name: "ISTIO_META_NETWORK", value: proxy.network }]),
    { name: "TRUST_DOMAIN", value: proxy.trustDomain },
  ];
}
