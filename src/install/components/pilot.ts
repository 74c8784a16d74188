import { textAt, treeAt, valueAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { istioLabels, istioTokenVolume } from "../../api/istio/index.ts";
import { restrictedContext } from "../../api/pod-security/index.ts";
import {
  chartLabels,
  clusterName,
  componentLabels,
  envEntries,
  fieldEnv,
  imageOf,
  jsonLogArguments,
  mergeEnv,
  object,
  proxyUser,
  pullPolicy,
  revisioned,
  revisionLabel,
} from "../render-context.ts";
import { type InstallSettings } from "../settings.ts";
import { scalingObjects, workloadSettings } from "../workload-settings.ts";
import {
  injectorConfigMap,
  meshConfigMap,
  valuesConfigMap,
  keySetRootsConfigMap,
  keySetRootsMount,
} from "./pilot-config.ts";
import { networkPolicyObjects } from "./network-policy.ts";
import { pilotAccount, pilotGrants, removesTaint } from "./pilot-access.ts";
import { remoteService } from "./remote-pilot.ts";
import { pilotPorts, revisionTagService } from "./revision-tag-service.ts";
import { injectorWebhooks, revisionTag, validatorWebhook } from "./webhooks.ts";

/** The objects of one control plane. All have the revision's label, and are removed together with the revision. */
export function renderPilot(settings: InstallSettings): UntypedObject[] {
  const labels = componentLabels("Pilot", settings, "revision");
  const { values } = settings;
  const name = revisioned("istiod", settings);
  const tags = valueAt(values, "revisionTags");
  const isRemote = valueAt(values, "istiodRemote", "enabled") === true;
  const wantsWebhooks = valueAt(values, "global", "operatorManageWebhooks") !== true;
  return [
    ...pilotAccount(settings, labels),
    ...(isRemote ? [] : pilotGrants(settings, labels)),
    ...(valueAt(values, "pilot", "configMap") === false ? [] : [meshConfigMap(settings, labels)]),
    ...(valueAt(values, "global", "omitSidecarInjectorConfigMap") === true
      ? []
      : [injectorConfigMap(settings, labels)]),
    valuesConfigMap(settings, labels),
    ...(isRemote ? [] : keySetRootsConfigMap(settings, labels)),
    ...(isRemote ? remoteService(settings, labels) : pilotWorkload(settings, name, labels)),
    ...(wantsWebhooks ? [injectorWebhooks(settings, labels)] : []),
    ...(isRemote || valueAt(values, "global", "configValidation") === false
      ? []
      : [validatorWebhook(settings, labels)]),
    ...(Array.isArray(tags)
      ? tags.flatMap((tag) => [
          ...(isRemote ? [] : [revisionTagService(String(tag), settings)]),
          revisionTag(String(tag), settings),
        ])
      : []),
  ];
}

function pilotWorkload(settings: InstallSettings, name: string, labels: Record<string, string>): UntypedObject[] {
  const own = treeAt(settings.values, "pilot");
  const target = {
    name,
    namespace: settings.namespace,
    labels: { ...labels, app: "istiod", istio: "pilot" },
    selector: selectorLabels(settings),
  };
  return [
    pilotService(settings, target),
    pilotDeployment(settings, target),
    ...scalingObjects(target, settings.pilot, own, settings),
    ...networkPolicyObjects(
      target,
      containerPorts.map(({ containerPort }) => ({ port: containerPort })),
      settings,
    ),
  ];
}

interface Target {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector: Readonly<Record<string, string>>;
}

function selectorLabels(settings: InstallSettings): Record<string, string> {
  return settings.revision === ""
    ? { app: "istiod", istio: "pilot" }
    : { app: "istiod", "istio.io/rev": revisionLabel(settings) };
}

const containerPorts = [
  { name: "http-debug", containerPort: 8080 },
  { name: "grpc-xds", containerPort: 15_010 },
  { name: "tls-xds", containerPort: 15_012 },
  { name: "https-webhooks", containerPort: 15_017 },
  { name: "http-monitoring", containerPort: 15_014 },
] as const;

function pilotService(settings: InstallSettings, { name, namespace, labels, selector }: Target): UntypedObject {
  const annotations = workloadSettings(settings.pilot, treeAt(settings.values, "pilot"), settings).serviceAnnotations;
  return object(
    { apiVersion: "v1", kind: "Service", name, namespace, labels, annotations },
    { spec: { ports: pilotPorts, selector, ...serviceFamilies(settings), ...settings.pilot.k8s?.service } },
  );
}

function serviceFamilies({ values }: InstallSettings): Record<string, unknown> {
  const policy = textAt(values, "pilot", "ipFamilyPolicy");
  const families = valueAt(values, "pilot", "ipFamilies");
  const distribution = textAt(values, "pilot", "trafficDistribution");
  return {
    ...(policy === undefined ? {} : { ipFamilyPolicy: policy }),
    ...(Array.isArray(families) && families.length > 0 ? { ipFamilies: families as unknown[] } : {}),
    ...(distribution === undefined ? {} : { trafficDistribution: distribution }),
  };
}

function pilotDeployment(settings: InstallSettings, { name, namespace, labels, selector }: Target): UntypedObject {
  const own = treeAt(settings.values, "pilot");
  const workload = workloadSettings(settings.pilot, own, settings);
  const tolerations = workload.pod["tolerations"];
  return object(
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      name,
      namespace,
      labels: { ...labels, ...(treeAt(own, "deploymentLabels") as Record<string, string> | undefined) },
      annotations: treeAt(own, "deploymentAnnotations") as Record<string, string>,
    },
    {
      spec: {
        ...(workload.autoscale === undefined ? { replicas: workload.replicas } : {}),
        strategy: workload.strategy,
        selector: { matchLabels: selector },
        template: {
          metadata: {
            labels: {
              ...chartLabels("Pilot", settings),
              [istioLabels.owningResource]: labels[istioLabels.owningResource],
              "istio.io/rev": revisionLabel(settings),
              "operator.istio.io/component": "Pilot",
              ...selector,
              // The Service of the unnamed revision selects `istio: pilot`. Pods of other revisions must not match it.
              istio: settings.revision === "" ? "pilot" : "istiod",
              "istio.io/dataplane-mode": "none",
              "sidecar.istio.io/inject": "false",
              ...workload.podLabels,
            },
            annotations: {
              "prometheus.io/port": "15014",
              "prometheus.io/scrape": "true",
              "sidecar.istio.io/inject": "false",
              ...workload.podAnnotations,
            },
          },
          spec: {
            serviceAccountName: name,
            securityContext: { fsGroup: proxyUser },
            ...(valueAt(own, "terminationGracePeriodSeconds") === undefined
              ? {}
              : { terminationGracePeriodSeconds: valueAt(own, "terminationGracePeriodSeconds") }),
            ...initContainers(own),
            containers: [discoveryContainer(settings)],
            volumes: [...pilotVolumes(settings), ...keySetRootsMount(settings).volumes, ...workload.volumes],
            ...workload.pod,
            tolerations: [
              { key: "cni.istio.io/not-ready", operator: "Exists" },
              ...(Array.isArray(tolerations) ? (tolerations as unknown[]) : []),
            ],
          },
        },
      },
    },
  );
}

function initContainers(own: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> {
  const given = valueAt(own, "initContainers");
  return Array.isArray(given) && given.length > 0 ? { initContainers: given as unknown[] } : {};
}

function discoveryContainer(settings: InstallSettings): Record<string, unknown> {
  const { pilot, values } = settings;
  const own = treeAt(values, "pilot");
  const workload = workloadSettings(pilot, own, settings);
  const seccompProfile = treeAt(own, "seccompProfile") ?? {};
  const messagePolicy = textAt(own, "terminationMessagePolicy");
  return {
    name: "discovery",
    image: imageOf("pilot", pilot, settings, own),
    ...pullPolicy(pilot, settings),
    args: discoveryArguments(settings),
    ports: containerPorts.map((port) => ({ ...port, protocol: "TCP" })),
    readinessProbe: pilot.k8s?.readinessProbe ?? {
      httpGet: { path: "/ready", port: 8080 },
      periodSeconds: 1,
      timeoutSeconds: 5,
    },
    env: mergeEnv<Readonly<Record<string, unknown>>>(
      discoveryEnvironment(settings),
      envEntries(treeAt(own, "env")),
      workload.env,
    ),
    resources: pilot.k8s?.resources ?? treeAt(own, "resources") ?? { requests: { cpu: "50m", memory: "512Mi" } },
    securityContext: {
      ...restrictedContext(proxyUser),
      ...(Object.keys(seccompProfile).length === 0 ? {} : { seccompProfile }),
    },
    ...(messagePolicy === undefined ? {} : { terminationMessagePolicy: messagePolicy }),
    volumeMounts: [...pilotVolumeMounts, ...keySetRootsMount(settings).volumeMounts, ...workload.volumeMounts],
  };
}

function discoveryArguments(settings: InstallSettings): unknown[] {
  const { values, namespace } = settings;
  const extra = valueAt(values, "pilot", "extraContainerArgs");
  return [
    "discovery",
    "--monitoringAddr=:15014",
    `--log_output_level=${textAt(values, "global", "logging", "level") ?? "default:info"}`,
    ...jsonLogArguments(values),
    "--domain",
    textAt(values, "global", "proxy", "clusterDomain") ?? "cluster.local",
    ...(removesTaint(settings) ? [`--cniNamespace=${textAt(values, "pilot", "taint", "namespace") ?? namespace}`] : []),
    "--keepaliveMaxServerConnectionAge",
    textAt(values, "pilot", "keepaliveMaxServerConnectionAge") ?? "30m",
    ...(Array.isArray(extra) ? extra.map(String) : []),
  ];
}

function discoveryEnvironment(settings: InstallSettings): { name: string; value?: string }[] {
  const { values, namespace } = settings;
  const trusted = `${textAt(values, "pilot", "trustedZtunnelNamespace") ?? namespace}/${textAt(values, "pilot", "trustedZtunnelName") ?? "ztunnel"}`;
  const platform = textAt(values, "global", "platform");
  return [
    { name: "REVISION", value: revisionLabel(settings) },
    { name: "PILOT_CERT_PROVIDER", value: textAt(values, "global", "pilotCertProvider") ?? "istiod" },
    fieldEnv("POD_NAME", "metadata.name"),
    fieldEnv("POD_NAMESPACE", "metadata.namespace"),
    fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    { name: "KUBECONFIG", value: "/var/run/secrets/remote/config" },
    { name: "CA_TRUSTED_NODE_ACCOUNTS", value: trusted },
    { name: "PILOT_TRACE_SAMPLING", value: textAt(values, "pilot", "traceSampling") ?? "1" },
    ...taintEnvironment(settings),
    ...publishedNames(settings),
    { name: "PILOT_ENABLE_ANALYSIS", value: textAt(values, "global", "istiod", "enableAnalysis") ?? "false" },
    { name: "CLUSTER_ID", value: clusterName(settings) },
    ...(platform === undefined || platform === "" ? [] : [{ name: "PLATFORM", value: platform }]),
    { name: "HUB", value: settings.hub },
    { name: "TAG", value: settings.tag },
  ];
}

/** The names of the ConfigMaps that the control plane writes for pods to mount. */
function publishedNames({ values }: InstallSettings): { name: string; value: string }[] {
  const root = textAt(values, "global", "trustBundleName");
  const revocations = textAt(values, "pilot", "crlConfigMapName");
  return [
    ...(root === undefined ? [] : [{ name: "PILOT_CA_CERT_CONFIGMAP", value: root }]),
    ...(revocations === undefined ? [] : [{ name: "PILOT_CRL_CONFIGMAP", value: revocations }]),
  ];
}

function taintEnvironment(settings: InstallSettings): { name: string; value: string }[] {
  if (!removesTaint(settings)) return [];
  return [
    { name: "PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS", value: "true" },
    {
      name: "PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME",
      value: textAt(settings.values, "pilot", "taint", "name") ?? "cni.istio.io/not-ready",
    },
  ];
}

const pilotVolumeMounts = [
  { name: "config-volume", mountPath: "/etc/istio/config" },
  { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
  { name: "local-certs", mountPath: "/var/run/secrets/istio-dns" },
  { name: "cacerts", mountPath: "/etc/cacerts", readOnly: true },
  { name: "istio-kubeconfig", mountPath: "/var/run/secrets/remote", readOnly: true },
  { name: "istio-csr-dns-cert", mountPath: "/var/run/secrets/istiod/tls", readOnly: true },
  { name: "istio-csr-ca-configmap", mountPath: "/var/run/secrets/istiod/ca", readOnly: true },
] as const;

function pilotVolumes(settings: InstallSettings): Record<string, unknown>[] {
  const audience = textAt(settings.values, "global", "sds", "token", "aud") ?? "istio-ca";
  const root = textAt(settings.values, "global", "trustBundleName") ?? "istio-ca-root-cert";
  return [
    { name: "config-volume", configMap: { name: revisioned("istio", settings), optional: true } },
    { name: "local-certs", emptyDir: { medium: "Memory" } },
    istioTokenVolume(audience),
    { name: "cacerts", secret: { secretName: "cacerts", optional: true } },
    { name: "istio-kubeconfig", secret: { secretName: "istio-kubeconfig", optional: true } },
    { name: "istio-csr-dns-cert", secret: { secretName: "istiod-tls", optional: true } },
    { name: "istio-csr-ca-configmap", configMap: { name: root, defaultMode: 420, optional: true } },
  ];
}
