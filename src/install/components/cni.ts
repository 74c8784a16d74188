import { filledTree, textAt, treeAt, valueAt } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import {
  chartLabels,
  componentLabels,
  fieldEnv,
  imageOf,
  jsonLogArguments,
  logFormatEntries,
  mergeEnv,
  nodePodsQuota,
  nodePriorityClass,
  object,
  pullPolicy,
} from "../render-context.ts";
import { mergeTrees } from "../merge.ts";
import { booleanAt, numberAt, type InstallSettings } from "../settings.ts";
import { nodePlatform, type NodePlatform } from "../platform.ts";
import { nodeWorkloadSettings } from "../workload-settings.ts";
import { agentPolicy } from "./agent-policy.ts";
import { grant, observe, privilegedConstraints, read } from "./roles.ts";

interface HostPath {
  readonly name: string;
  readonly path: string;
  readonly mountPath: string;
  /** Options of the mount. The default is a writable mount that does not show later mounts of the host. */
  readonly mount?: { readonly readOnly: true; readonly mountPropagation?: "HostToContainer" };
}

/**
 * The agent's additional capabilities. It opens network namespaces of other pods' processes (SYS_PTRACE), enters them
 * (SYS_ADMIN), writes rules, routes and sockets there (NET_ADMIN), and writes to the node's CNI folders, which may
 * belong to another user (DAC_OVERRIDE).
 */
const agentCapabilities = ["DAC_OVERRIDE", "NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"] as const;

function hostPathsOf(settings: InstallSettings): HostPath[] {
  const { cniBinDir, cniConfDir, cniNetnsDir } = platformOf(settings);
  return [
    { name: "cni-bin-dir", path: cniBinDir, mountPath: "/host/opt/cni/bin" },
    { name: "cni-net-dir", path: cniConfDir, mountPath: "/host/etc/cni/net.d" },
    { name: "cni-host-procfs", path: "/proc", mountPath: "/host/proc", mount: { readOnly: true } },
    // /proc/sys/net shows each process the settings of its own network namespace. After it enters a pod's namespace,
    // the agent can change the pod's settings there.
    { name: "cni-host-sysctl", path: "/proc/sys/net", mountPath: "/host/proc/sys/net" },
    { name: "cni-socket-dir", path: "/var/run/istio-cni", mountPath: "/var/run/istio-cni" },
    { name: "cni-ztunnel-sock-dir", path: "/var/run/ztunnel", mountPath: "/var/run/ztunnel" },
    {
      name: "cni-netns-dir",
      path: cniNetnsDir,
      mountPath: "/host/var/run/netns",
      // The container runtime mounts a file into this folder for each pod that starts later.
      mount: { readOnly: true, mountPropagation: "HostToContainer" },
    },
  ];
}

/** The settings of the platform. The user's values override them. */
function platformOf(settings: InstallSettings): NodePlatform {
  const platform = nodePlatform(textAt(settings.values, "global", "platform") ?? "");
  const own = treeAt(settings.values, "cni");
  const choose = (name: "cniBinDir" | "cniConfDir" | "cniNetnsDir" | "cniConfFileName"): string => {
    const value = textAt(own, name) ?? "";
    return value === "" ? platform[name] : value;
  };
  const chained = valueAt(own, "chained");
  return {
    ...platform,
    cniBinDir: choose("cniBinDir"),
    cniConfDir: choose("cniConfDir"),
    cniNetnsDir: choose("cniNetnsDir"),
    cniConfFileName: choose("cniConfFileName"),
    chained: chained === undefined ? platform.chained : chained !== false,
    needsQuota: booleanAt(own, "resourceQuotas", "enabled") ?? platform.needsQuota,
  };
}

/** The node agent. It runs once on each node, for all revisions. */
export function renderCni(settings: InstallSettings): UntypedObject[] {
  const labels = { ...componentLabels("Cni", settings, "revision"), app: "istio-cni" };
  const { namespace } = settings;
  const serviceAccount = { name: "istio-cni", namespace };
  return [
    object({ apiVersion: "v1", kind: "ServiceAccount", ...serviceAccount, labels }, {}),
    ...grant({
      name: "istio-cni",
      labels,
      serviceAccount,
      rules: [
        { apiGroups: [""], resources: ["pods", "namespaces"], verbs: read },
        { apiGroups: [""], resources: ["nodes"], verbs: observe },
      ],
    }),
    ...grant({
      name: "istio-cni-ambient",
      labels: { ...labels, "k8s-app": "istio-cni-repair" },
      serviceAccount,
      rules: [
        { apiGroups: [""], resources: ["pods/status"], verbs: ["patch"] },
        { apiGroups: ["apps"], resources: ["daemonsets"], verbs: ["get", "list", "watch"] },
      ],
    }),
    ...grant({
      name: "istio-cni",
      namespace,
      labels,
      serviceAccount,
      rules: [{ apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] }],
    }),
    ...agentPolicy(labels, serviceAccount),
    ...(platformOf(settings).hasContextConstraints ? privilegedConstraints("istio-cni", labels, serviceAccount) : []),
    object(
      { apiVersion: "v1", kind: "ConfigMap", name: "istio-cni-config", namespace, labels },
      { data: agentConfig(settings) },
    ),
    ...(platformOf(settings).needsQuota
      ? [
          nodePodsQuota(
            { name: "istio-cni-resource-quota", namespace, labels },
            textAt(settings.values, "cni", "resourceQuotas", "pods"),
          ),
        ]
      : []),
    agentDaemonSet(settings, labels),
  ];
}

function agentConfig(settings: InstallSettings): Record<string, string> {
  const own = treeAt(settings.values, "cni");
  const excluded = valueAt(own, "excludeNamespaces");
  const extra = Object.entries(treeAt(own, "env") ?? {}).map(([name, value]) => [name, String(value)] as const);
  const { chained, cniConfFileName, cniBinDir, cniConfDir } = platformOf(settings);
  return {
    AMBIENT_ENABLED: String(valueAt(own, "ambient", "enabled") !== false),
    AMBIENT_DNS_CAPTURE: String(valueAt(own, "ambient", "dnsCapture") !== false),
    AMBIENT_IPV6: String(valueAt(own, "ambient", "ipv6") !== false),
    CHAINED_CNI_PLUGIN: String(chained),
    ...(cniConfFileName === "" ? {} : { CNI_CONF_NAME: cniConfFileName }),
    CURRENT_AGENT_VERSION: settings.tag,
    LOG_LEVEL: textAt(own, "logLevel") ?? "info",
    EXCLUDE_NAMESPACES: Array.isArray(excluded) ? excluded.join(",") : `${settings.namespace},kube-system`,
    REPAIR_ENABLED: String(valueAt(own, "repair", "enabled") !== false),
    // The agent's messages contain these folders of the node.
    SERIN_CNI_BIN_DIR: cniBinDir,
    SERIN_CNI_CONF_DIR: cniConfDir,
    ...Object.fromEntries(extra),
  };
}

function agentDaemonSet(settings: InstallSettings, shared: Record<string, string>): UntypedObject {
  const { cni, namespace } = settings;
  const { app: _app, ...labels } = shared;
  const own = treeAt(settings.values, "cni");
  const workload = nodeWorkloadSettings(cni, own, settings);
  const selector = { "k8s-app": "istio-cni-node" };
  const maxUnavailable = valueAt(own, "rollingMaxUnavailable") ?? 1;
  const daemonSetLabels = {
    ...labels,
    ...selector,
    ...(treeAt(own, "daemonSetLabels") as Record<string, string> | undefined),
  };
  return object(
    { apiVersion: "apps/v1", kind: "DaemonSet", name: "istio-cni-node", namespace, labels: daemonSetLabels },
    {
      spec: {
        selector: { matchLabels: selector },
        updateStrategy: mergeTrees(
          { type: "RollingUpdate", rollingUpdate: { maxUnavailable } },
          treeAt(own, "updateStrategy"),
        ),
        template: {
          metadata: {
            labels: {
              ...chartLabels("Cni", settings),
              "operator.istio.io/component": "Cni",
              ...selector,
              "sidecar.istio.io/inject": "false",
              "istio.io/dataplane-mode": "none",
              ...workload.podLabels,
            },
            annotations: {
              "sidecar.istio.io/inject": "false",
              "prometheus.io/port": "15014",
              "prometheus.io/scrape": "true",
              "prometheus.io/path": "/metrics",
              ...workload.podAnnotations,
            },
          },
          spec: {
            serviceAccountName: "istio-cni",
            // The agent uses the host's network. On the pod network, a new agent would need a running agent in order to
            // start.
            hostNetwork: true,
            dnsPolicy: "ClusterFirstWithHostNet",
            priorityClassName: nodePriorityClass,
            // A removed agent needs this time to release the node's pods.
            terminationGracePeriodSeconds: numberAt(own, "terminationGracePeriodSeconds") ?? 30,
            tolerations: [{ operator: "Exists" }],
            containers: [agentContainer(settings)],
            volumes: hostPathsOf(settings).map(({ name, path }) => ({
              name,
              hostPath: { path, type: path.startsWith("/proc") ? "Directory" : "DirectoryOrCreate" },
            })),
            ...workload.pod,
          },
        },
      },
    },
  );
}

function agentContainer(settings: InstallSettings): Record<string, unknown> {
  const { cni } = settings;
  const own = treeAt(settings.values, "cni");
  const seccompProfile = treeAt(own, "seccompProfile");
  return {
    name: "install-cni",
    image: imageOf("install-cni", cni, settings, own),
    ...pullPolicy(cni, settings, textAt(own, "pullPolicy")),
    command: ["install-cni"],
    args: [
      `--log_output_level=${textAt(own, "logging", "level") ?? textAt(own, "logLevel") ?? "info"}`,
      ...jsonLogArguments(settings.values),
    ],
    securityContext: {
      privileged: false,
      capabilities: { drop: ["ALL"], add: agentCapabilities },
      readOnlyRootFilesystem: true,
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      // AppArmor's default profile denies access to namespaces of other containers' processes.
      appArmorProfile: { type: "Unconfined" },
      // With other SELinux types, the agent could not write to the node's folders. Nodes without SELinux ignore this
      // field.
      seLinuxOptions: { type: "spc_t", ...treeAt(own, "seLinuxOptions") },
      // The container runtime's default profile lets a process with SYS_ADMIN enter namespaces.
      seccompProfile: filledTree(seccompProfile) ?? { type: "RuntimeDefault" },
    },
    readinessProbe: { httpGet: { path: "/readyz", port: 8000 }, periodSeconds: 1 },
    ports: [{ name: "metrics", containerPort: 15_014, protocol: "TCP" }],
    envFrom: [{ configMapRef: { name: "istio-cni-config" } }],
    env: mergeEnv<Readonly<Record<string, unknown>>>(
      [
        fieldEnv("NODE_NAME", "spec.nodeName"),
        fieldEnv("POD_NAME", "metadata.name"),
        fieldEnv("POD_NAMESPACE", "metadata.namespace"),
      ],
      logFormatEntries(settings),
      cni.k8s?.env ?? [],
    ),
    resources: cni.k8s?.resources ?? treeAt(own, "resources") ?? { requests: { cpu: "20m", memory: "96Mi" } },
    volumeMounts: hostPathsOf(settings).map(({ name, mountPath, mount }) => ({ name, mountPath, ...mount })),
  };
}
