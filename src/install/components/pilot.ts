import { stringify } from "yaml";
import type { UntypedObject } from "../../api/index.ts";
import { mergeTrees } from "../merge.ts";
import {
  clusterName,
  componentLabels,
  envEntries,
  fieldEnv,
  imageOf,
  mergeEnv,
  object,
  podSettings,
  revisioned,
  revisionLabel,
} from "../render-context.ts";
import { numberAt, stringAt, treeAt, valueAt, type InstallSettings } from "../settings.ts";
import { grant, read, readWrite } from "./roles.ts";
import { injectorWebhooks, revisionTag, validatorWebhook } from "./webhooks.ts";

/** One control plane: everything that carries the revision's label, and goes with it. */
export function renderPilot(settings: InstallSettings): UntypedObject[] {
  const labels = componentLabels("Pilot", settings, "revision");
  const { namespace } = settings;
  const name = revisioned("istiod", settings);
  const tags = valueAt(settings.values, "revisionTags");
  return [
    object({ apiVersion: "v1", kind: "ServiceAccount", name, namespace, labels: { ...labels, app: "istiod" } }, {}),
    ...pilotGrants(settings, name, labels),
    meshConfigMap(settings, labels),
    pilotService(settings, name, labels),
    pilotDeployment(settings, name, labels),
    ...pilotScaling(settings, name, labels),
    injectorWebhooks(settings, labels),
    validatorWebhook(settings, labels),
    ...(Array.isArray(tags) ? tags.map((tag) => revisionTag(String(tag), settings)) : []),
  ];
}

function pilotGrants(settings: InstallSettings, name: string, labels: Record<string, string>): UntypedObject[] {
  const { namespace } = settings;
  const serviceAccount = { name, namespace };
  const suffix = `${settings.revision === "" ? "" : `${settings.revision}-`}${namespace}`;
  const istioGroups = ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"];
  return [
    ...grant({
      name: `istiod-clusterrole-${suffix}`,
      labels,
      serviceAccount,
      rules: [
        { apiGroups: [""], resources: ["namespaces", "nodes", "pods", "services", "endpoints", "configmaps", "secrets", "serviceaccounts"], verbs: read },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: read },
        { apiGroups: ["apiextensions.k8s.io"], resources: ["customresourcedefinitions"], verbs: read },
        { apiGroups: [...istioGroups, "gateway.networking.k8s.io"], resources: ["*"], verbs: ["get", "list", "watch", "update", "patch"] },
        { apiGroups: ["gateway.networking.k8s.io"], resources: ["gatewayclasses"], verbs: readWrite },
        { apiGroups: ["admissionregistration.k8s.io"], resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"], verbs: ["get", "list", "watch", "update", "patch"] },
        { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
        { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
        { apiGroups: [""], resources: ["configmaps"], verbs: readWrite },
        { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: readWrite },
        { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
      ],
    }),
    ...grant({
      name: `istiod-gateway-controller-${suffix}`,
      labels,
      serviceAccount,
      rules: [
        { apiGroups: ["apps"], resources: ["deployments"], verbs: readWrite },
        { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs: readWrite },
        { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: readWrite },
        { apiGroups: [""], resources: ["services", "serviceaccounts"], verbs: readWrite },
      ],
    }),
    ...grant({
      name,
      namespace,
      labels,
      serviceAccount,
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["create", "get", "watch", "list", "update", "delete"] }],
    }),
  ];
}

function meshConfigMap(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
  const { namespace } = settings;
  const defaults = {
    defaultConfig: { discoveryAddress: `${revisioned("istiod", settings)}.${namespace}.svc:15012` },
    enablePrometheusMerge: true,
    rootNamespace: namespace,
    trustDomain: "cluster.local",
  };
  const mesh = mergeTrees(defaults, settings.meshConfig);
  return object(
    { apiVersion: "v1", kind: "ConfigMap", name: revisioned("istio", settings), namespace, labels },
    { data: { mesh: stringify(mesh), meshNetworks: "networks: {}" } },
  );
}

/** The port names and numbers are istiod's. */
const ports = [
  { name: "grpc-xds", port: 15010, targetPort: 15010 },
  { name: "https-dns", port: 15012, targetPort: 15012 },
  { name: "https-webhook", port: 443, targetPort: 15017 },
  { name: "http-monitoring", port: 15014, targetPort: 15014 },
] as const;

function selectorLabels(settings: InstallSettings): Record<string, string> {
  return settings.revision === "" ? { app: "istiod", istio: "pilot" } : { app: "istiod", "istio.io/rev": settings.revision };
}

function pilotService(settings: InstallSettings, name: string, labels: Record<string, string>): UntypedObject {
  return object(
    { apiVersion: "v1", kind: "Service", name, namespace: settings.namespace, labels: { ...labels, app: "istiod", istio: "pilot" } },
    { spec: { ports: ports.map((port) => ({ ...port, protocol: "TCP" })), selector: selectorLabels(settings) } },
  );
}

function pilotDeployment(settings: InstallSettings, name: string, labels: Record<string, string>): UntypedObject {
  const { pilot, values, namespace } = settings;
  const { k8s } = pilot;
  const podLabels = { ...labels, ...selectorLabels(settings), istio: "pilot", "istio.io/dataplane-mode": "none", "sidecar.istio.io/inject": "false" };
  const replicas = k8s?.replicaCount ?? numberAt(values, "pilot", "replicaCount") ?? 1;
  return object(
    { apiVersion: "apps/v1", kind: "Deployment", name, namespace, labels: { ...labels, app: "istiod", istio: "pilot" } },
    {
      spec: {
        replicas,
        strategy: k8s?.strategy ?? { rollingUpdate: { maxSurge: "100%", maxUnavailable: "25%" } },
        selector: { matchLabels: selectorLabels(settings) },
        template: {
          metadata: {
            labels: podLabels,
            annotations: {
              "prometheus.io/port": "15014",
              "prometheus.io/scrape": "true",
              "sidecar.istio.io/inject": "false",
              ...k8s?.podAnnotations,
            },
          },
          spec: {
            serviceAccountName: name,
            securityContext: { fsGroup: 1337 },
            terminationGracePeriodSeconds: numberAt(values, "pilot", "terminationGracePeriodSeconds") ?? 30,
            containers: [discoveryContainer(settings)],
            volumes: pilotVolumes(settings),
            ...podSettings(k8s, { nodeSelector: treeAt(values, "pilot", "nodeSelector") }),
          },
        },
      },
    },
  );
}

function discoveryContainer(settings: InstallSettings): Record<string, unknown> {
  const { pilot, values, namespace } = settings;
  return {
    name: "discovery",
    image: imageOf("pilot", pilot, settings),
    args: [
      "discovery",
      "--monitoringAddr=:15014",
      `--log_output_level=${stringAt(values, "global", "logging", "level") ?? "default:info"}`,
      "--domain",
      "cluster.local",
      "--keepaliveMaxServerConnectionAge",
      "30m",
    ],
    ports: [8080, 15010, 15012, 15017, 15014].map((containerPort) => ({ containerPort, protocol: "TCP" })),
    readinessProbe: { httpGet: { path: "/ready", port: 8080 }, initialDelaySeconds: 0, periodSeconds: 1, timeoutSeconds: 5 },
    env: mergeEnv<Record<string, unknown>>(
      [
        { name: "REVISION", value: revisionLabel(settings) },
        { name: "PILOT_CERT_PROVIDER", value: "istiod" },
        fieldEnv("POD_NAME", "metadata.name"),
        fieldEnv("POD_NAMESPACE", "metadata.namespace"),
        fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        { name: "CLUSTER_ID", value: clusterName(settings) },
        { name: "CA_TRUSTED_NODE_ACCOUNTS", value: `${namespace}/ztunnel` },
        { name: "HUB", value: settings.hub },
        { name: "TAG", value: settings.tag },
      ],
      envEntries(treeAt(values, "pilot", "env")),
      pilot.k8s?.env ?? [],
    ),
    resources: pilot.k8s?.resources ?? { requests: { cpu: "50m", memory: "128Mi" } },
    securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: true, capabilities: { drop: ["ALL"] } },
    volumeMounts: [
      { name: "config-volume", mountPath: "/etc/istio/config" },
      { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
      { name: "local-certs", mountPath: "/var/run/secrets/istio-dns" },
      { name: "cacerts", mountPath: "/etc/cacerts", readOnly: true },
    ],
  };
}

function pilotVolumes(settings: InstallSettings): Record<string, unknown>[] {
  return [
    { name: "config-volume", configMap: { name: revisioned("istio", settings), optional: true } },
    { name: "local-certs", emptyDir: { medium: "Memory" } },
    { name: "istio-token", projected: { sources: [{ serviceAccountToken: { audience: "istio-ca", expirationSeconds: 43_200, path: "istio-token" } }] } },
    { name: "cacerts", secret: { secretName: "cacerts", optional: true } },
  ];
}

function pilotScaling(settings: InstallSettings, name: string, labels: Record<string, string>): UntypedObject[] {
  const { pilot, values, namespace } = settings;
  const objects: UntypedObject[] = [];
  if (valueAt(values, "pilot", "autoscaleEnabled") !== false) {
    objects.push(
      object(
        { apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler", name, namespace, labels: { ...labels, app: "istiod" } },
        {
          spec: pilot.k8s?.hpaSpec ?? {
            minReplicas: 1,
            maxReplicas: 5,
            scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
            metrics: [{ type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } }],
          },
        },
      ),
    );
  }
  if (pilot.k8s?.podDisruptionBudget !== undefined) {
    objects.push(
      object(
        { apiVersion: "policy/v1", kind: "PodDisruptionBudget", name, namespace, labels: { ...labels, app: "istiod" } },
        { spec: { ...pilot.k8s.podDisruptionBudget, selector: { matchLabels: selectorLabels(settings) } } },
      ),
    );
  }
  return objects;
}
