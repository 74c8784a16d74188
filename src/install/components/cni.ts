import type { UntypedObject } from "../../api/index.ts";
import { componentLabels, fieldEnv, imageOf, mergeEnv, object, podSettings } from "../render-context.ts";
import { stringAt, valueAt, type InstallSettings } from "../settings.ts";
import { grant, read } from "./roles.ts";

const hostPaths = [
  { name: "cni-bin-dir", path: "/opt/cni/bin", mountPath: "/host/opt/cni/bin" },
  { name: "cni-net-dir", path: "/etc/cni/net.d", mountPath: "/host/etc/cni/net.d" },
  { name: "cni-host-procfs", path: "/proc", mountPath: "/host/proc" },
  { name: "cni-socket-dir", path: "/var/run/istio-cni", mountPath: "/var/run/istio-cni" },
  { name: "cni-ztunnel-sock-dir", path: "/var/run/ztunnel", mountPath: "/var/run/ztunnel" },
  { name: "cni-netns-dir", path: "/var/run/netns", mountPath: "/host/var/run/netns" },
] as const;

/** The node agent: one a node, shared by all revisions. */
export function renderCni(settings: InstallSettings): UntypedObject[] {
  const labels = { ...componentLabels("Cni", settings, "shared"), app: "istio-cni" };
  const { namespace } = settings;
  const serviceAccount = { name: "istio-cni", namespace };
  return [
    object({ apiVersion: "v1", kind: "ServiceAccount", ...serviceAccount, labels }, {}),
    ...grant({
      name: "istio-cni",
      labels,
      serviceAccount,
      rules: [{ apiGroups: [""], resources: ["pods", "nodes", "namespaces"], verbs: read }],
    }),
    ...grant({
      name: "istio-cni-ambient",
      labels,
      serviceAccount,
      rules: [
        { apiGroups: [""], resources: ["pods", "pods/status"], verbs: ["get", "list", "watch", "update", "patch"] },
        { apiGroups: ["apps"], resources: ["daemonsets"], verbs: read },
        { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
      ],
    }),
    object({ apiVersion: "v1", kind: "ConfigMap", name: "istio-cni-config", namespace, labels }, { data: agentConfig(settings) }),
    agentDaemonSet(settings, labels),
  ];
}

function agentConfig(settings: InstallSettings): Record<string, string> {
  const excluded = valueAt(settings.values, "cni", "excludeNamespaces");
  return {
    AMBIENT_ENABLED: "true",
    CURRENT_AGENT_VERSION: settings.tag,
    LOG_LEVEL: stringAt(settings.values, "cni", "logLevel") ?? "info",
    EXCLUDE_NAMESPACES: Array.isArray(excluded) ? excluded.join(",") : `${settings.namespace},kube-system`,
  };
}

function agentDaemonSet(settings: InstallSettings, labels: Record<string, string>): UntypedObject {
  const { cni, namespace } = settings;
  const selector = { "k8s-app": "istio-cni-node" };
  return object(
    { apiVersion: "apps/v1", kind: "DaemonSet", name: "istio-cni-node", namespace, labels: { ...labels, ...selector } },
    {
      spec: {
        selector: { matchLabels: selector },
        updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } },
        template: {
          metadata: {
            labels: { ...labels, ...selector, "sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none" },
            annotations: {
              "sidecar.istio.io/inject": "false",
              "prometheus.io/port": "15014",
              "prometheus.io/scrape": "true",
              "prometheus.io/path": "/metrics",
              ...cni.k8s?.podAnnotations,
            },
          },
          spec: {
            serviceAccountName: "istio-cni",
            // With a network of its own the agent's next pod would wait for an agent before it may start.
            hostNetwork: true,
            dnsPolicy: "ClusterFirstWithHostNet",
            priorityClassName: "system-node-critical",
            terminationGracePeriodSeconds: 5,
            tolerations: [{ operator: "Exists" }],
            containers: [agentContainer(settings)],
            volumes: hostPaths.map(({ name, path }) => ({ name, hostPath: { path, ...(path === "/proc" ? { type: "Directory" } : { type: "DirectoryOrCreate" }) } })),
            ...podSettings(cni.k8s),
          },
        },
      },
    },
  );
}

function agentContainer(settings: InstallSettings): Record<string, unknown> {
  const { cni } = settings;
  return {
    name: "install-cni",
    image: imageOf("install-cni", cni, settings),
    command: ["install-cni"],
    args: [`--log_output_level=${stringAt(settings.values, "cni", "logLevel") ?? "info"}`],
    securityContext: { privileged: true, runAsUser: 0, runAsGroup: 0 },
    readinessProbe: { httpGet: { path: "/readyz", port: 8000 }, periodSeconds: 1 },
    ports: [{ name: "metrics", containerPort: 15_014, protocol: "TCP" }],
    envFrom: [{ configMapRef: { name: "istio-cni-config" } }],
    env: mergeEnv<Record<string, unknown>>(
      [fieldEnv("NODE_NAME", "spec.nodeName"), fieldEnv("POD_NAME", "metadata.name"), fieldEnv("POD_NAMESPACE", "metadata.namespace")],
      cni.k8s?.env ?? [],
    ),
    resources: cni.k8s?.resources ?? { requests: { cpu: "20m", memory: "64Mi" } },
    volumeMounts: hostPaths.map(({ name, mountPath }) => ({ name, mountPath })),
  };
}
