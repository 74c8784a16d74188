import type { Container, SecurityContext } from "../api/kubernetes/index.ts";
import { podAnnotations, podLabels } from "./annotations.ts";
import {
  annotationOr,
  canonicalLabels,
  commonAnnotations,
  imagePullPolicy,
  labelOf,
  metadataVariables,
  proxyContainer,
  proxyImage,
  proxyResources,
  proxyVolumes,
  readinessProbe,
  startupProbe,
} from "./proxy-container.ts";
import { proxyUser, type InjectedPod, type TemplateInput } from "./template-input.ts";

/** Inbound ports that are never redirected: Envoy's metrics and the proxy's readiness. */
const proxyPorts = "15090,15021";

/** The template `sidecar`, which adds the redirect's init container and the proxy. */
export function sidecarTemplate(input: TemplateInput): InjectedPod {
  const { values, proxyConfig, nativeSidecar } = input;
  const proxy = sidecarContainer(input);
  const init = interceptionMode(input) === "NONE" ? [] : [initContainer(input)];
  return {
    labels: {
      [podLabels.tlsMode]: labelOf(input, podLabels.tlsMode) ?? "istio",
      ...(proxyConfig.proxyMetadata["ISTIO_META_ENABLE_HBONE"] === "true"
        ? { [podLabels.tunnel]: labelOf(input, podLabels.tunnel) ?? "http" }
        : {}),
      ...canonicalLabels(input),
    },
    annotations: { ...commonAnnotations(input), ...(values.cni.enabled ? cniAnnotations(input) : {}) },
    spec: {
      ...(init.length > 0 || nativeSidecar ? { initContainers: nativeSidecar ? [...init, proxy] : init } : {}),
      ...(nativeSidecar ? {} : { containers: [proxy] }),
      volumes: proxyVolumes(input, "sidecar"),
      ...(values.imagePullSecrets.length === 0
        ? {}
        : { imagePullSecrets: values.imagePullSecrets.map((name) => ({ name })) }),
    },
  };
}

function interceptionMode(input: TemplateInput): string {
  return annotationOr(input, podAnnotations.interceptionMode, input.proxyConfig.interceptionMode);
}

function sidecarContainer(input: TemplateInput): Container {
  const { values, nativeSidecar } = input;
  const { proxy } = values;
  const lifecycle = proxyLifecycle(input);
  return {
    ...proxyContainer(input, { type: "sidecar", securityContext: sidecarSecurityContext(input) }),
    ...(nativeSidecar ? { restartPolicy: "Always" as const } : {}),
    ...(lifecycle === undefined ? {} : { lifecycle }),
    resources: proxyResources(input),
    ...(statusPort(input) === "0" ? {} : probes(input, proxy.startupProbe)),
  };
}

function statusPort(input: TemplateInput): string {
  return annotationOr(input, podAnnotations.statusPort, String(input.values.proxy.statusPort));
}

function probes(
  input: TemplateInput,
  startup: { readonly enabled: boolean; readonly failureThreshold: number },
): Pick<Container, "startupProbe" | "readinessProbe"> {
  const { proxy } = input.values;
  const number = (name: string, fallback: number): number => Number(annotationOr(input, name, String(fallback)));
  return {
    ...(startup.enabled ? { startupProbe: startupProbe(startup.failureThreshold) } : {}),
    readinessProbe: readinessProbe({
      initialDelaySeconds: number(podAnnotations.readinessInitialDelaySeconds, proxy.readinessInitialDelaySeconds),
      periodSeconds: number(podAnnotations.readinessPeriodSeconds, proxy.readinessPeriodSeconds),
      failureThreshold: number(podAnnotations.readinessFailureThreshold, proxy.readinessFailureThreshold),
    }),
  };
}

/**
 * The hooks of the proxy's container. A native sidecar needs no postStart hook, because Kubernetes starts it before the
 * application. Its preStop hook tells the proxy that the pod terminates.
 */
function proxyLifecycle(input: TemplateInput): Container["lifecycle"] {
  const { values, proxyConfig, nativeSidecar } = input;
  if (values.proxy.lifecycle !== undefined) return values.proxy.lifecycle;
  if (nativeSidecar)
    return {
      preStop: { exec: { command: ["pilot-agent", "request", `--debug-port=${statusPort(input)}`, "POST", "drain"] } },
    };
  const holds = proxyConfig.holdApplicationUntilProxyStarts || values.proxy.holdApplicationUntilProxyStarts;
  return holds ? { postStart: { exec: { command: ["pilot-agent", "wait"] } } } : undefined;
}

function sidecarSecurityContext(input: TemplateInput): SecurityContext {
  const { proxy } = input.values;
  if (input.proxyConfig.proxyMetadata["IPTABLES_TRACE_LOGGING"] === "true") {
    return {
      allowPrivilegeEscalation: true,
      capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] },
      privileged: true,
      readOnlyRootFilesystem: true,
      runAsGroup: proxyUser,
      runAsNonRoot: false,
      runAsUser: 0,
    };
  }
  const bindsLowPorts =
    annotationOr(input, podAnnotations.capNetBindService, String(proxy.capNetBindService)) === "true";
  const capabilities = [
    // The proxy needs NET_ADMIN to open transparent sockets and to mark packets.
    ...(interceptionMode(input) === "TPROXY" ? ["NET_ADMIN"] : []),
    ...(bindsLowPorts ? ["NET_BIND_SERVICE"] : []),
  ];
  const asRoot = capabilities.length > 0;
  return {
    allowPrivilegeEscalation: proxy.privileged,
    capabilities: { ...(asRoot ? { add: capabilities } : {}), drop: ["ALL"] },
    privileged: proxy.privileged,
    readOnlyRootFilesystem: true,
    runAsNonRoot: !asRoot,
    runAsUser: asRoot ? 0 : proxyUser,
    runAsGroup: proxyUser,
  };
}

/**
 * The init container: `istio-init` installs the redirect, or `istio-validation` waits for the redirect that the CNI
 * agent installs.
 */
function initContainer(input: TemplateInput): Container {
  const { values, proxyConfig } = input;
  const { cni } = values;
  const environment = metadataVariables(proxyConfig.proxyMetadata);
  return {
    name: cni.enabled ? "istio-validation" : "istio-init",
    image: proxyImage(input, values.proxyInit.image, ""),
    ...imagePullPolicy(input),
    args: redirectArguments(input),
    ...(environment.length === 0 ? {} : { env: environment }),
    resources: proxyResources(input),
    securityContext: {
      allowPrivilegeEscalation: values.proxy.privileged,
      privileged: values.proxy.privileged,
      capabilities: { ...(cni.enabled ? {} : { add: ["NET_ADMIN", "NET_RAW"] }), drop: ["ALL"] },
      readOnlyRootFilesystem: cni.enabled,
      runAsGroup: cni.enabled ? proxyUser : 0,
      runAsNonRoot: cni.enabled,
      runAsUser: cni.enabled ? proxyUser : 0,
      seccompProfile: values.proxy.seccompProfile,
    },
  };
}

function redirectArguments(input: TemplateInput): string[] {
  const { values, mesh, annotations } = input;
  const { proxy, cni } = values;
  const given = (flag: string, ...names: readonly string[]): string[] => {
    const value = names.map((name) => annotations[name]).find((text) => text !== undefined);
    return value === undefined ? [] : [flag, value];
  };
  const ports = (flag: string, name: string, fallback: string): string[] =>
    annotations[name] === undefined && fallback === "" ? [] : [flag, annotationOr(input, name, fallback)];
  return [
    "istio-iptables",
    "-p",
    String(mesh.proxyListenPort),
    "-z",
    String(mesh.proxyInboundListenPort),
    "-u",
    String(proxyUser),
    "-m",
    interceptionMode(input),
    "-i",
    annotationOr(input, podAnnotations.includeOutboundIpRanges, proxy.includeIpRanges),
    "-x",
    annotationOr(input, podAnnotations.excludeOutboundIpRanges, proxy.excludeIpRanges),
    "-b",
    annotationOr(input, podAnnotations.includeInboundPorts, proxy.includeInboundPorts),
    "-d",
    [proxyPorts, excludedInboundPorts(input)].filter((ports) => ports !== "").join(","),
    ...ports("-q", podAnnotations.includeOutboundPorts, proxy.includeOutboundPorts),
    ...ports("-o", podAnnotations.excludeOutboundPorts, proxy.excludeOutboundPorts),
    ...given("-k", podAnnotations.rerouteVirtualInterfaces, podAnnotations.kubevirtInterfaces),
    ...given("-c", podAnnotations.excludeInterfaces),
    `--log_output_level=${annotationOr(input, podAnnotations.agentLogLevel, values.logLevel)}`,
    ...(values.logAsJson ? ["--log_as_json"] : []),
    ...(cni.enabled ? ["--run-validation", "--skip-rule-apply"] : values.forceApplyIptables ? ["--force-apply"] : []),
    ...(values.nativeNftables ? ["--native-nftables"] : []),
  ];
}

/** The inbound ports that the user excludes, plus the status port unless it is disabled. */
function excludedInboundPorts(input: TemplateInput): string {
  const excluded = annotationOr(input, podAnnotations.excludeInboundPorts, input.values.proxy.excludeInboundPorts);
  const status = statusPort(input);
  const ports = excluded
    .split(",")
    .map((port) => port.trim())
    .filter((port) => port !== "");
  return status === "0" || ports.includes(status) ? excluded : [...ports, status].join(",");
}

/**
 * Adds the network `istio-cni` to a pod's Multus networks if it is missing. Multus accepts names separated by commas,
 * or a JSON list.
 */
function withMultusNetwork(networks: string): string {
  const name = "default/istio-cni";
  if (networks.trim() === "") return name;
  if (networks.includes("istio-cni")) return networks;
  return networks.trim().startsWith("[")
    ? networks.replace(/\]\s*$/, ', {"name": "istio-cni", "namespace": "default"}]')
    : `${networks}, ${name}`;
}

/** The annotations that upstream's CNI plugin reads. */
function cniAnnotations(input: TemplateInput): Record<string, string> {
  const { values, annotations } = input;
  const { proxy } = values;
  const found: Record<string, string> = {
    ...(values.cni.provider === "multus"
      ? { [podAnnotations.multusNetworks]: withMultusNetwork(annotations[podAnnotations.multusNetworks] ?? "") }
      : {}),
    [podAnnotations.interceptionMode]: interceptionMode(input),
    [podAnnotations.includeInboundPorts]: annotationOr(
      input,
      podAnnotations.includeInboundPorts,
      proxy.includeInboundPorts,
    ),
    [podAnnotations.excludeInboundPorts]: excludedInboundPorts(input),
  };
  const optional: readonly (readonly [name: string, fallback: string])[] = [
    [podAnnotations.includeOutboundIpRanges, proxy.includeIpRanges],
    [podAnnotations.excludeOutboundIpRanges, proxy.excludeIpRanges],
    [podAnnotations.includeOutboundPorts, proxy.includeOutboundPorts],
    [podAnnotations.excludeOutboundPorts, proxy.excludeOutboundPorts],
    [podAnnotations.kubevirtInterfaces, ""],
    [podAnnotations.rerouteVirtualInterfaces, ""],
    [podAnnotations.excludeInterfaces, ""],
  ];
  for (const [name, fallback] of optional) {
    const value = annotations[name] ?? fallback;
    if (value !== "") found[name] = value;
  }
  return found;
}
