import type { UntypedObject } from "../../api/index.ts";
import type { GatewaySpec } from "../../api/istio/index.ts";
import { clusterName, componentLabels, fieldEnv, imageOf, mergeEnv, object, podSettings, revisioned, type ComponentName } from "../render-context.ts";
import { stringAt, treeAt, valueAt, type InstallSettings } from "../settings.ts";
import { grant, read } from "./roles.ts";

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

/** A classic gateway (selected by Istio's Gateway kind through its labels): account, Deployment and Service. */
export function renderGateway(gateway: GatewaySpec, direction: GatewayDirection, settings: InstallSettings): UntypedObject[] {
  const component: ComponentName = direction === "ingress" ? "IngressGateways" : "EgressGateways";
  const namespace = gateway.namespace ?? settings.namespace;
  const selector = gateway.label ?? { app: gateway.name, istio: `${direction}gateway` };
  const labels = { ...componentLabels(component, settings, "revision"), ...selector };
  const serviceAccount = { name: `${gateway.name}-service-account`, namespace };
  return [
    object({ apiVersion: "v1", kind: "ServiceAccount", ...serviceAccount, labels }, {}),
    ...grant({
      name: `${gateway.name}-sds`,
      namespace,
      labels,
      serviceAccount,
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: read }],
    }),
    gatewayService(gateway, direction, { namespace, selector, labels }, settings),
    gatewayDeployment(gateway, { namespace, selector, labels, serviceAccount: serviceAccount.name }, settings),
  ];
}

interface Placement {
  readonly namespace: string;
  readonly selector: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

function gatewayService(gateway: GatewaySpec, direction: GatewayDirection, placement: Placement, settings: InstallSettings): UntypedObject {
  const { k8s } = gateway;
  const legacy = treeAt(settings.values, "gateways", gateway.name);
  const type = stringAt(legacy, "type") ?? (direction === "ingress" ? "LoadBalancer" : "ClusterIP");
  const ports = valueAt(legacy, "ports") ?? (direction === "ingress" ? ingressPorts : egressPorts);
  return object(
    {
      apiVersion: "v1",
      kind: "Service",
      name: gateway.name,
      namespace: placement.namespace,
      labels: placement.labels,
      ...(k8s?.serviceAnnotations === undefined ? {} : { annotations: k8s.serviceAnnotations }),
    },
    { spec: { type, selector: placement.selector, ports, ...k8s?.service } },
  );
}

function gatewayDeployment(gateway: GatewaySpec, placement: Placement & { readonly serviceAccount: string }, settings: InstallSettings): UntypedObject {
  const { k8s } = gateway;
  const { namespace, selector, labels, serviceAccount } = placement;
  return object(
    { apiVersion: "apps/v1", kind: "Deployment", name: gateway.name, namespace, labels },
    {
      spec: {
        replicas: k8s?.replicaCount ?? 1,
        selector: { matchLabels: selector },
        strategy: k8s?.strategy ?? { rollingUpdate: { maxSurge: "100%", maxUnavailable: "25%" } },
        template: {
          metadata: {
            labels: { ...labels, "sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none", "service.istio.io/canonical-name": gateway.name },
            annotations: {
              "prometheus.io/port": "15020",
              "prometheus.io/scrape": "true",
              "prometheus.io/path": "/stats/prometheus",
              "sidecar.istio.io/inject": "false",
              ...k8s?.podAnnotations,
            },
          },
          spec: {
            serviceAccountName: serviceAccount,
            terminationGracePeriodSeconds: 300,
            securityContext: { runAsUser: 1337, runAsGroup: 1337, fsGroup: 1337 },
            containers: [gatewayContainer(gateway, settings)],
            volumes: gatewayVolumes,
            ...podSettings(k8s),
          },
        },
      },
    },
  );
}

const gatewayVolumes = [
  { name: "workload-socket", emptyDir: {} },
  { name: "istio-data", emptyDir: {} },
  { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } },
  {
    name: "podinfo",
    downwardAPI: {
      items: [
        { path: "labels", fieldRef: { fieldPath: "metadata.labels" } },
        { path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } },
      ],
    },
  },
  { name: "istio-token", projected: { sources: [{ serviceAccountToken: { audience: "istio-ca", expirationSeconds: 43_200, path: "istio-token" } }] } },
] as const;

function gatewayContainer(gateway: GatewaySpec, settings: InstallSettings): Record<string, unknown> {
  const { k8s } = gateway;
  const discovery = `${revisioned("istiod", settings)}.${settings.namespace}.svc:15012`;
  return {
    name: "istio-proxy",
    image: imageOf("proxyv2", gateway, settings),
    args: ["proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning"],
    ports: [8080, 8443, 15_021, 15_090].map((containerPort) => ({ containerPort, protocol: "TCP" })),
    readinessProbe: { httpGet: { path: "/healthz/ready", port: 15_021 }, periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 2 },
    env: mergeEnv<Record<string, unknown>>(
      [
        fieldEnv("POD_NAME", "metadata.name"),
        fieldEnv("POD_NAMESPACE", "metadata.namespace"),
        fieldEnv("INSTANCE_IP", "status.podIP"),
        fieldEnv("HOST_IP", "status.hostIP"),
        fieldEnv("NODE_NAME", "spec.nodeName"),
        fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        { name: "CA_ADDR", value: discovery },
        { name: "PROXY_CONFIG", value: JSON.stringify({ discoveryAddress: discovery }) },
        { name: "ISTIO_META_CLUSTER_ID", value: clusterName(settings) },
        { name: "ISTIO_META_WORKLOAD_NAME", value: gateway.name },
        { name: "ISTIO_META_OWNER", value: `kubernetes://apis/apps/v1/namespaces/${gateway.namespace ?? settings.namespace}/deployments/${gateway.name}` },
        { name: "ISTIO_META_MESH_ID", value: "cluster.local" },
        { name: "TRUST_DOMAIN", value: "cluster.local" },
      ],
      k8s?.env ?? [],
    ),
    resources: k8s?.resources ?? { requests: { cpu: "50m", memory: "64Mi" } },
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] }, privileged: false, readOnlyRootFilesystem: true, runAsNonRoot: true },
    volumeMounts: [
      { name: "workload-socket", mountPath: "/var/run/secrets/workload-spiffe-uds" },
      { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio" },
      { name: "istio-data", mountPath: "/var/lib/istio/data" },
      { name: "podinfo", mountPath: "/etc/istio/pod" },
      { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
    ],
  };
}
