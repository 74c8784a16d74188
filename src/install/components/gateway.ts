import { textAt, treeAt, valueAt, type Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { istioLabels, istioTokenVolume, type GatewaySpec } from "../../api/istio/index.ts";
import { mergeTrees } from "../merge.ts";
import {
  chartLabels,
  componentLabels,
  mergeEnv,
  object,
  proxyUser,
  pullPolicy,
  imageOf,
  jsonLogArguments,
  revisioned,
  revisionLabel,
  rootVolume,
  type ComponentName,
} from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";
import { scalingObjects, workloadSettings, type WorkloadSettings } from "../workload-settings.ts";
import { gatewayEnvironment } from "./gateway-environment.ts";
import { networkPolicyObjects } from "./network-policy.ts";
import { grant } from "./roles.ts";

const ingressPorts = [
  { name: "status-port", port: 15_021, targetPort: 15_021, protocol: "TCP" },
  { name: "http2", port: 80, targetPort: 8080, protocol: "TCP" },
  { name: "https", port: 443, targetPort: 8443, protocol: "TCP" },
] as const;

const egressPorts = [
  { name: "http2", port: 80, targetPort: 8080, protocol: "TCP" },
  { name: "https", port: 443, targetPort: 8443, protocol: "TCP" },
] as const;

export type GatewayDirection = "ingress" | "egress";

interface GatewayPlan {
  readonly name: string;
  readonly namespace: string;
  readonly gateway: GatewaySpec;
  readonly own: Tree;
  readonly workload: WorkloadSettings;
  readonly component: ComponentName;
  readonly selector: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly Tree[];
  readonly type: string;
}

/**
 * The objects of a classic gateway, such as ServiceAccount, Deployment and Service. Objects of Istio's kind Gateway
 * select it by labels.
 */
export function renderGateway(
  gateway: GatewaySpec,
  direction: GatewayDirection,
  settings: InstallSettings,
): UntypedObject[] {
  const plan = planGateway(gateway, direction, settings);
  const { name, namespace, labels, own } = plan;
  const serviceAccount = { name: accountOf(plan), namespace };
  return [
    object(
      {
        apiVersion: "v1",
        kind: "ServiceAccount",
        ...serviceAccount,
        labels,
        annotations: treeAt(own, "serviceAccount", "annotations") as Record<string, string>,
      },
      {},
    ),
    ...grant({
      name: `${name}-sds`,
      namespace,
      labels,
      serviceAccount,
      // istiod sends private keys only to proxies whose accounts may list Secrets.
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["list"] }],
    }),
    gatewayService(plan),
    gatewayDeployment(plan, settings),
    ...scalingObjects(plan, gateway, own, settings),
    ...networkPolicyObjects(plan, policyPorts(plan), settings),
  ];
}

/** The ports of the proxy itself, for metrics and readiness. */
export const ownGatewayPorts = [15_020, 15_021, 15_090] as const;

function policyPorts({ ports }: GatewayPlan): { readonly protocol: unknown; readonly port: unknown }[] {
  const served = ports.map((port) => ({
    protocol: valueAt(port, "protocol") ?? "TCP",
    port: valueAt(port, "targetPort") ?? valueAt(port, "port"),
  }));
  const own = ownGatewayPorts.filter((number) => !served.some(({ port }) => port === number));
  return [...own.map((port) => ({ protocol: "TCP", port })), ...served];
}

function accountOf({ name }: Pick<GatewayPlan, "name">): string {
  return `${name}-service-account`;
}

function planGateway(gateway: GatewaySpec, direction: GatewayDirection, settings: InstallSettings): GatewayPlan {
  const component: ComponentName = direction === "ingress" ? "IngressGateways" : "EgressGateways";
  const chartName = `istio-${direction}gateway`;
  // As in Istio, values below the name of the default gateway apply to all gateways of that direction.
  const own = mergeTrees(
    treeAt(settings.values, "gateways", chartName) ?? {},
    gateway.name === chartName ? {} : (treeAt(settings.values, "gateways", gateway.name) ?? {}),
  ) as Tree;
  const selector = {
    app: gateway.name,
    istio: `${direction}gateway`,
    ...(treeAt(own, "labels") as Record<string, string> | undefined),
    ...gateway.label,
  };
  return {
    name: gateway.name,
    namespace: gateway.namespace ?? settings.namespace,
    gateway,
    own,
    workload: workloadSettings(gateway, own, settings),
    component,
    selector,
    labels: { ...componentLabels(component, settings, "revision"), "app.kubernetes.io/name": chartName, ...selector },
    ports: (valueAt(gateway.k8s?.service, "ports") ??
      valueAt(own, "ports") ??
      (direction === "ingress" ? ingressPorts : egressPorts)) as Tree[],
    type:
      textAt(gateway.k8s?.service, "type") ??
      textAt(own, "type") ??
      (direction === "ingress" ? "LoadBalancer" : "ClusterIP"),
  };
}

const serviceFields = [
  "loadBalancerIP",
  "loadBalancerSourceRanges",
  "externalTrafficPolicy",
  "ipFamilyPolicy",
  "ipFamilies",
] as const;

function gatewayService({
  name,
  namespace,
  labels,
  own,
  workload,
  type,
  selector,
  ports,
  gateway,
}: GatewayPlan): UntypedObject {
  const fields = serviceFields
    .map((field) => [field, valueAt(own, field)] as const)
    .filter(([, value]) => value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0));
  return object(
    { apiVersion: "v1", kind: "Service", name, namespace, labels, annotations: workload.serviceAnnotations },
    { spec: { ...Object.fromEntries(fields), ...gateway.k8s?.service, type, selector, ports } },
  );
}

function gatewayDeployment(plan: GatewayPlan, settings: InstallSettings): UntypedObject {
  const { name, namespace, labels, selector, workload, component } = plan;
  return object(
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      name,
      namespace,
      labels: { ...labels, "istio.io/dataplane-mode": "none" },
    },
    {
      spec: {
        ...(workload.autoscale === undefined ? { replicas: workload.replicas } : {}),
        selector: { matchLabels: selector },
        strategy: workload.strategy,
        template: {
          metadata: {
            labels: {
              ...chartLabels(component, settings),
              "app.kubernetes.io/name": labels["app.kubernetes.io/name"],
              [istioLabels.owningResource]: labels[istioLabels.owningResource],
              "operator.istio.io/component": component,
              "istio.io/rev": revisionLabel(settings),
              "istio.io/dataplane-mode": "none",
              ...(namespace === "istio-system" ? { chart: "gateways", heritage: "Tiller", release: "istio" } : {}),
              "service.istio.io/canonical-name": name,
              "service.istio.io/canonical-revision":
                selector["version"] ?? (settings.revision === "" ? "latest" : settings.revision),
              "sidecar.istio.io/inject": "false",
              ...selector,
              ...workload.podLabels,
            },
            annotations: {
              "istio.io/rev": revisionLabel(settings),
              "prometheus.io/port": "15020",
              "prometheus.io/scrape": "true",
              "prometheus.io/path": "/stats/prometheus",
              "sidecar.istio.io/inject": "false",
              ...workload.podAnnotations,
            },
          },
          spec: {
            serviceAccountName: accountOf(plan),
            // The account may list the Secrets of its namespace, which may contain the CA's key. The proxy does not
            // call the API server, so it gets no token that an attacker could steal.
            automountServiceAccountToken: false,
            terminationGracePeriodSeconds: 300,
            securityContext: { runAsUser: proxyUser, runAsGroup: proxyUser, runAsNonRoot: true, fsGroup: proxyUser },
            containers: [gatewayContainer(plan, settings)],
            volumes: gatewayVolumes(plan, settings),
            ...workload.pod,
          },
        },
      },
    },
  );
}

function gatewayContainer(plan: GatewayPlan, settings: InstallSettings): Record<string, unknown> {
  const { gateway, own, workload, ports } = plan;
  const { values } = settings;
  const proxy = treeAt(values, "global", "proxy");
  return {
    name: "istio-proxy",
    image: imageOf("proxyv2", gateway, settings, { ...proxy, tag: valueAt(own, "tag"), hub: undefined }),
    ...pullPolicy(gateway, settings),
    args: [
      "proxy",
      "router",
      "--domain",
      `$(POD_NAMESPACE).svc.${textAt(proxy, "clusterDomain") ?? "cluster.local"}`,
      `--proxyLogLevel=${textAt(proxy, "logLevel") ?? "warning"}`,
      `--proxyComponentLogLevel=${textAt(proxy, "componentLogLevel") ?? "misc:error"}`,
      `--log_output_level=${textAt(values, "global", "logging", "level") ?? "default:info"}`,
      ...jsonLogArguments(values),
    ],
    ports: [
      ...ports.map((port) => ({
        containerPort: valueAt(port, "targetPort") ?? valueAt(port, "port"),
        protocol: textAt(port, "protocol") ?? "TCP",
      })),
      { name: "http-envoy-prom", containerPort: 15_090, protocol: "TCP" },
    ],
    readinessProbe: gateway.k8s?.readinessProbe ?? {
      httpGet: { path: "/healthz/ready", port: 15_021, scheme: "HTTP" },
      periodSeconds: 1,
      timeoutSeconds: 3,
      failureThreshold: 30,
    },
    env: mergeEnv<Tree>(gatewayEnvironment(plan, settings), workload.env),
    resources: gateway.k8s?.resources ?? treeAt(own, "resources") ?? { requests: { cpu: "50m", memory: "128Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
      seccompProfile: { type: "RuntimeDefault" },
    },
    volumeMounts: [
      ...gatewayVolumeMounts,
      ...secretVolumes(plan).map(({ name, mountPath }) => ({ name, mountPath, readOnly: true })),
      ...workload.volumeMounts,
    ],
  };
}

const gatewayVolumeMounts = [
  { name: "workload-socket", mountPath: "/var/run/secrets/workload-spiffe-uds" },
  { name: "credential-socket", mountPath: "/var/run/secrets/credential-uds" },
  { name: "workload-certs", mountPath: "/var/run/secrets/workload-spiffe-credentials" },
  { name: "istio-envoy", mountPath: "/etc/istio/proxy" },
  { name: "config-volume", mountPath: "/etc/istio/config" },
  { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio" },
  { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
  { name: "istio-data", mountPath: "/var/lib/istio/data" },
  { name: "podinfo", mountPath: "/etc/istio/pod" },
] as const;

interface SecretVolume {
  readonly name: string;
  readonly secretName: string;
  readonly mountPath: string;
}

/** The Secrets whose files a Gateway's TLS settings may name by path. */
function secretVolumes({ own, labels }: GatewayPlan): readonly SecretVolume[] {
  const given = valueAt(own, "secretVolumes");
  if (Array.isArray(given)) return given as SecretVolume[];
  const chartName = labels["app.kubernetes.io/name"] ?? "";
  const short = chartName.replace(/^istio-/, "");
  return ["certs", "ca-certs"].map((name) => ({
    name: `${short}-${name}`,
    secretName: `${chartName}-${name}`,
    mountPath: `/etc/istio/${short}-${name}`,
  }));
}

function gatewayVolumes(plan: GatewayPlan, settings: InstallSettings): Tree[] {
  const audience = textAt(settings.values, "global", "sds", "token", "aud") ?? "istio-ca";
  const podInfo = ["labels", "annotations"].map((path) => ({
    path,
    fieldRef: { apiVersion: "v1", fieldPath: `metadata.${path}` },
  }));
  return [
    { name: "workload-socket", emptyDir: {} },
    { name: "credential-socket", emptyDir: {} },
    { name: "workload-certs", emptyDir: {} },
    rootVolume(settings),
    { name: "podinfo", downwardAPI: { items: podInfo } },
    { name: "istio-envoy", emptyDir: {} },
    { name: "istio-data", emptyDir: {} },
    istioTokenVolume(audience),
    { name: "config-volume", configMap: { name: revisioned("istio", settings), optional: true } },
    ...secretVolumes(plan).map(({ name, secretName }) => ({ name, secret: { secretName, optional: true } })),
    ...plan.workload.volumes,
  ];
}
