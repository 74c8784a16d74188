import { logFormatVariable, textAt, treeAt, type Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { istioTokenVolume } from "../../api/istio/index.ts";
import {
  chartLabels,
  clusterName,
  componentLabels,
  envEntries,
  fieldEnv,
  imageOf,
  logFormatEntries,
  mergeEnv,
  nodePodsQuota,
  nodePriorityClass,
  object,
  pullPolicy,
  revisioned,
  rootVolume,
  revisionLabel,
} from "../render-context.ts";
import { mergeTrees } from "../merge.ts";
import { nodePlatform, type NodePlatform } from "../platform.ts";
import { booleanAt, numberAt, type InstallSettings } from "../settings.ts";
import { nodeWorkloadSettings } from "../workload-settings.ts";
import { networkPolicyObjects } from "./network-policy.ts";
import { privilegedConstraints } from "./roles.ts";

/** The maximum time for connections to end. A terminating ztunnel ends earlier, with its last connection. */
const terminationGracePeriodSeconds = 3600;

const revocationsFolder = "/var/run/secrets/istio/crl";

function looksAtRevocations(values: InstallSettings["values"]): boolean {
  return textAt(values, "ztunnel", "peerCaCrl", "enabled") === "true";
}

/**
 * The node proxy of one revision. The ztunnels of all revisions share one account, because they request certificates in
 * its name. Without a quota of its own, ztunnel uses that of the CNI agent in the same namespace.
 */
export function renderZtunnel(settings: InstallSettings): UntypedObject[] {
  const shared = { ...componentLabels("Ztunnel", settings, "shared"), app: "ztunnel" };
  return [
    object(
      { apiVersion: "v1", kind: "ServiceAccount", name: "ztunnel", namespace: settings.namespace, labels: shared },
      {},
    ),
    ...(platformOf(settings).hasContextConstraints
      ? privilegedConstraints("ztunnel", shared, { name: "ztunnel", namespace: settings.namespace })
      : []),
    ...(needsQuota(settings)
      ? [
          nodePodsQuota(
            { name: "ztunnel", namespace: settings.namespace, labels: shared },
            textAt(settings.values, "ztunnel", "resourceQuotas", "pods"),
          ),
        ]
      : []),
    ztunnelDaemonSet(settings),
    ...ztunnelPolicy(settings),
  ];
}

/** The ports of ztunnel's own pod: HBONE, metrics and readiness. HBONE is used to reach the metrics. */
const ownPorts = [15_008, 15_020, 15_021] as const;

/** The NetworkPolicy of ztunnel's own pod. Traffic of the pods that ztunnel serves is subject to their own policies. */
function ztunnelPolicy(given: InstallSettings): UntypedObject[] {
  const settings = { ...given, revision: servedRevision(given) };
  const target = {
    name: revisioned("ztunnel", settings),
    namespace: settings.namespace,
    labels: { ...componentLabels("Ztunnel", settings, "revision"), app: "ztunnel" },
    selector: selectorOf(settings),
  };
  return networkPolicyObjects(
    target,
    ownPorts.map((port) => ({ port })),
    settings,
  );
}

function selectorOf({ revision }: InstallSettings): Record<string, string> {
  return { app: "ztunnel", ...(revision === "" ? {} : { "istio.io/rev": revision }) };
}

function platformOf({ values }: InstallSettings): NodePlatform {
  return nodePlatform(textAt(values, "global", "platform") ?? "");
}

function needsQuota(settings: InstallSettings): boolean {
  const { values, cni } = settings;
  return (
    booleanAt(values, "ztunnel", "resourceQuotas", "enabled") ??
    (platformOf(settings).needsQuota && cni.enabled !== true)
  );
}

/**
 * The revision that this ztunnel serves. If the spec names none, it is the revision in XDS_ADDRESS
 * (`istiod-<rev>.<ns>.svc`).
 */
function servedRevision(settings: InstallSettings): string {
  if (settings.revision !== "") return settings.revision;
  const address = textAt(settings.values, "ztunnel", "env", "XDS_ADDRESS") ?? "";
  return /(?:^|\/\/)istiod-([a-z0-9-]+)\./.exec(address)?.[1] ?? "";
}

function ztunnelDaemonSet(given: InstallSettings): UntypedObject {
  const settings = { ...given, revision: servedRevision(given) };
  const { ztunnel, values, namespace } = settings;
  const own = treeAt(values, "ztunnel");
  const workload = nodeWorkloadSettings(ztunnel, own, settings);
  const labels = {
    ...componentLabels("Ztunnel", settings, "revision"),
    app: "ztunnel",
    ...(treeAt(own, "labels") as Record<string, string> | undefined),
  };
  const selector = selectorOf(settings);
  return object(
    {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      name: revisioned("ztunnel", settings),
      namespace,
      labels,
      annotations: treeAt(own, "annotations") as Record<string, string>,
    },
    {
      spec: {
        selector: { matchLabels: selector },
        updateStrategy: mergeTrees(
          { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
          treeAt(own, "updateStrategy"),
        ),
        template: {
          metadata: {
            labels: {
              ...chartLabels("Ztunnel", settings),
              "operator.istio.io/component": "Ztunnel",
              "istio.io/rev": revisionLabel(settings),
              ...selector,
              "sidecar.istio.io/inject": "false",
              "istio.io/dataplane-mode": "none",
              ...workload.podLabels,
            },
            annotations: {
              "sidecar.istio.io/inject": "false",
              "prometheus.io/port": "15020",
              "prometheus.io/scrape": "true",
              ...workload.podAnnotations,
            },
          },
          spec: {
            serviceAccountName: "ztunnel",
            priorityClassName: nodePriorityClass,
            terminationGracePeriodSeconds:
              numberAt(values, "ztunnel", "terminationGracePeriodSeconds") ?? terminationGracePeriodSeconds,
            // The first process of a PID namespace misses a SIGTERM that arrives while it starts. In a shared
            // namespace, the first process is the pause container and not ztunnel.
            shareProcessNamespace: true,
            tolerations: [{ operator: "Exists" }],
            ...nameServerSettings(own),
            containers: [ztunnelContainer(settings)],
            volumes: [...ownVolumes(settings), ...workload.volumes],
            ...workload.pod,
          },
        },
      },
    },
  );
}

function ownVolumes(settings: InstallSettings): Tree[] {
  const { values } = settings;
  return [
    istioTokenVolume("istio-ca"),
    rootVolume(settings, treeAt(values, "ztunnel")),
    { name: "cni-ztunnel-sock-dir", hostPath: { path: "/var/run/ztunnel", type: "DirectoryOrCreate" } },
    { name: "tmp", emptyDir: {} },
    ...(looksAtRevocations(values)
      ? [
          {
            name: "crl-volume",
            configMap: { name: textAt(values, "pilot", "crlConfigMapName") ?? "istio-ca-crl", optional: true },
          },
        ]
      : []),
  ];
}

/** `logAsJson` is a boolean, or in a chart a mark for the name of the format. */
function jsonLogEntries(own: Tree | undefined): { name: string; value: string }[] {
  const wanted = textAt(own, "logAsJson") ?? "false";
  if (wanted === "false") return [];
  return [{ name: logFormatVariable, value: wanted === "true" ? "json" : wanted }];
}

function nameServerSettings(own: Tree | undefined): Tree {
  const policy = textAt(own, "dnsPolicy");
  const config = treeAt(own, "dnsConfig") ?? {};
  return {
    ...(policy === undefined ? {} : { dnsPolicy: policy }),
    ...(Object.keys(config).length === 0 ? {} : { dnsConfig: config }),
  };
}

function ztunnelContainer(settings: InstallSettings): Record<string, unknown> {
  const { ztunnel, values, namespace } = settings;
  const own = treeAt(values, "ztunnel");
  const seLinuxOptions = treeAt(own, "seLinuxOptions") ?? {};
  const discovery = `https://${revisioned("istiod", settings)}.${namespace}.svc:15012`;
  const network = textAt(values, "ztunnel", "network") ?? textAt(values, "global", "network");
  return {
    name: "istio-proxy",
    image: imageOf("ztunnel", ztunnel, settings, own),
    ...pullPolicy(ztunnel, settings, textAt(own, "imagePullPolicy")),
    args: ["proxy", "ztunnel"],
    ports: [{ name: "ztunnel-stats", containerPort: 15_020, protocol: "TCP" }],
    securityContext: {
      allowPrivilegeEscalation: true,
      privileged: false,
      capabilities: { drop: ["ALL"], add: ["NET_ADMIN", "SYS_ADMIN", "NET_RAW"] },
      readOnlyRootFilesystem: true,
      runAsGroup: 1337,
      runAsNonRoot: false,
      runAsUser: 0,
      // The container runtime's default profile lets a process with SYS_ADMIN enter namespaces.
      seccompProfile: { type: "RuntimeDefault" },
      ...(Object.keys(seLinuxOptions).length === 0 ? {} : { seLinuxOptions }),
    },
    readinessProbe: { httpGet: { path: "/healthz/ready", port: 15_021 }, periodSeconds: 1 },
    env: mergeEnv<Readonly<Record<string, unknown>>>(
      [
        ...(network === undefined ? [] : [{ name: "NETWORK", value: network }]),
        { name: "CA_ADDRESS", value: textAt(values, "ztunnel", "caAddress") ?? discovery },
        { name: "XDS_ADDRESS", value: textAt(values, "ztunnel", "xdsAddress") ?? discovery },
        { name: "RUST_LOG", value: textAt(values, "ztunnel", "logLevel") ?? "info" },
        { name: "RUST_BACKTRACE", value: "1" },
        {
          name: "ISTIO_META_CLUSTER_ID",
          value: textAt(values, "ztunnel", "multiCluster", "clusterName") ?? clusterName(settings),
        },
        { name: "INPOD_ENABLED", value: "true" },
        { name: "CLUSTER_DOMAIN", value: textAt(values, "global", "proxy", "clusterDomain") ?? "cluster.local" },
        { name: "REVISION", value: revisionLabel(settings) },
        fieldEnv("POD_NAME", "metadata.name"),
        fieldEnv("POD_NAMESPACE", "metadata.namespace"),
        fieldEnv("NODE_NAME", "spec.nodeName"),
        fieldEnv("INSTANCE_IP", "status.podIP"),
        fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
      ],
      looksAtRevocations(values) ? [{ name: "CRL_PATH", value: `${revocationsFolder}/ca-crl.pem` }] : [],
      [
        { name: "ISTIO_META_ENABLE_HBONE", value: "true" },
        // ZTUNNEL_WORKER_THREADS may be a percentage of this limit.
        { name: "ZTUNNEL_CPU_LIMIT", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "0" } } },
      ],
      logFormatEntries(settings),
      jsonLogEntries(own),
      envEntries(treeAt(values, "ztunnel", "env")),
      ztunnel.k8s?.env ?? [],
    ),
    resources: ztunnel.k8s?.resources ??
      treeAt(values, "ztunnel", "resources") ?? { requests: { cpu: "50m", memory: "128Mi" } },
    volumeMounts: [
      { name: "istiod-ca-cert", mountPath: "/var/run/secrets/istio" },
      { name: "istio-token", mountPath: "/var/run/secrets/tokens" },
      { name: "cni-ztunnel-sock-dir", mountPath: "/var/run/ztunnel" },
      { name: "tmp", mountPath: "/tmp" },
      ...(looksAtRevocations(values) ? [{ name: "crl-volume", mountPath: revocationsFolder, readOnly: true }] : []),
      ...nodeWorkloadSettings(ztunnel, own, settings).volumeMounts,
    ],
  };
}
