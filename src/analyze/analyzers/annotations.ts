import { deploymentKind, namespaceKind, podKind, serviceKind } from "../../api/kubernetes/index.ts";
import { nearestName, withArticle } from "../../base/index.ts";
import type { Analyzer, Report } from "../analyzer.ts";
import { messageTypes } from "../message-types.ts";
import type { Resource } from "../resource.ts";

/**
 * The annotations of Istio 1.31 by the kind that users put them on. Leaves out those that only the control plane
 * writes.
 */
const annotationsOfKind: Readonly<Record<string, readonly string[]>> = {
  Pod: [
    "prometheus.istio.io/merge-metrics",
    "sidecar.istio.io/inject",
    "sidecar.istio.io/rewriteAppHTTPProbers",
    "sidecar.istio.io/discoveryAddress",
    "sidecar.istio.io/proxyImage",
    "sidecar.istio.io/proxyImageType",
    "sidecar.istio.io/proxyCPU",
    "sidecar.istio.io/proxyCPULimit",
    "sidecar.istio.io/proxyMemory",
    "sidecar.istio.io/proxyMemoryLimit",
    "sidecar.istio.io/interceptionMode",
    "sidecar.istio.io/bootstrapOverride",
    "sidecar.istio.io/statsInclusionPrefixes",
    "sidecar.istio.io/statsInclusionSuffixes",
    "sidecar.istio.io/statsInclusionRegexps",
    "sidecar.istio.io/statsHistogramBuckets",
    "sidecar.istio.io/statsFlushInterval",
    "sidecar.istio.io/statsEvictionInterval",
    "sidecar.istio.io/statsHistogramBins",
    "sidecar.istio.io/statsCompression",
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
    "status.sidecar.istio.io/port",
    "sidecar.istio.io/logLevel",
    "sidecar.istio.io/componentLogLevel",
    "sidecar.istio.io/agentLogLevel",
    "sidecar.istio.io/nativeSidecar",
    "sidecar.istio.io/extraStatTags",
    "sidecar.istio.io/capNetBindService",
    "readiness.status.sidecar.istio.io/initialDelaySeconds",
    "readiness.status.sidecar.istio.io/periodSeconds",
    "readiness.status.sidecar.istio.io/failureThreshold",
    "readiness.status.sidecar.istio.io/applicationPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/excludeInterfaces",
    "traffic.sidecar.istio.io/includeOutboundPorts",
    "traffic.sidecar.istio.io/excludeOutboundPorts",
    "traffic.sidecar.istio.io/kubevirtInterfaces",
    "proxy.istio.io/config",
    "proxy.istio.io/overrides",
    "inject.istio.io/templates",
    "ambient.istio.io/redirection",
    "ambient.istio.io/bypass-inbound-capture",
    "ambient.istio.io/dns-capture",
    "istio.io/reroute-virtual-interfaces",
  ],
  Service: [
    "alpha.istio.io/kubernetes-serviceaccounts",
    "alpha.istio.io/canonical-serviceaccounts",
    "networking.istio.io/exportTo",
    "traffic.istio.io/nodeSelector",
    "istio.io/use-waypoint-canary-weight",
    "networking.istio.io/traffic-distribution",
  ],
  Namespace: [
    "topology.istio.io/controlPlaneClusters",
    "istio.io/use-waypoint-canary-weight",
    "networking.istio.io/traffic-distribution",
  ],
  ServiceEntry: ["istio.io/use-waypoint-canary-weight", "networking.istio.io/traffic-distribution"],
  Ingress: ["kubernetes.io/ingress.class"],
  Gateway: [
    "gateway.istio.io/service-account",
    "gateway.istio.io/name-override",
    "networking.istio.io/service-type",
    "ambient.istio.io/waypoint-inbound-binding",
  ],
  GatewayClass: ["ambient.istio.io/waypoint-inbound-binding"],
  AuthorizationPolicy: ["istio.io/dry-run"],
  WorkloadEntry: [
    "istio.io/autoRegistrationGroup",
    "istio.io/workloadController",
    "istio.io/connectedAt",
    "istio.io/disconnectedAt",
  ],
};

/** Annotations that any object may have, and those that the mesh itself writes. */
const anywhere = new Set([
  "galley.istio.io/analyze-suppress",
  "gateway.istio.io/controller-version",
  "sidecar.istio.io/status",
  "istio.io/rev",
]);

/** Deprecated annotations, with what to do instead. */
const deprecated: Readonly<Record<string, string>> = {
  "sidecar.istio.io/inject": "use the label of the same name",
  "alpha.istio.io/kubernetes-serviceaccounts": "remove it",
  "alpha.istio.io/canonical-serviceaccounts": "remove it",
  "sidecar.istio.io/discoveryAddress": "set discoveryAddress in proxy.istio.io/config",
  "sidecar.istio.io/statsInclusionPrefixes": "set proxyStatsMatcher in proxy.istio.io/config",
  "sidecar.istio.io/statsInclusionSuffixes": "set proxyStatsMatcher in proxy.istio.io/config",
  "sidecar.istio.io/statsInclusionRegexps": "set proxyStatsMatcher in proxy.istio.io/config",
  "sidecar.istio.io/extraStatTags": "set tags in a Telemetry",
  "sidecar.istio.io/statsCompression": "remove it",
  "traffic.sidecar.istio.io/kubevirtInterfaces": "use istio.io/reroute-virtual-interfaces",
};

type Check = readonly [expected: string, accepts: (value: string) => boolean];
const maxPort = 65_535;

const isCount = (value: string): boolean => /^\d+$/.test(value.trim());
const isPort = (value: string): boolean => isCount(value) && Number(value) <= maxPort;
const eachOf =
  (accepts: (part: string) => boolean): ((value: string) => boolean) =>
  (value) =>
    value.trim() === "" || value.split(",").every((part) => accepts(part.trim()));
const orAll =
  (accepts: (value: string) => boolean): ((value: string) => boolean) =>
  (value) =>
    value === "*" || accepts(value);
const isRange = (value: string): boolean =>
  /^(\d{1,3}(\.\d{1,3}){3}\/\d{1,2}|(?=[^/]*:)[0-9a-fA-F:.]+\/\d{1,3})$/.test(value);
const isQuantity = (value: string): boolean =>
  /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+|[numkKMGTPE]|[KMGTPE]i)?$/.test(value);
const isObject = (value: string): boolean => {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === "object" && parsed !== null;
  } catch {
    return false;
  }
};

const count: Check = ["a whole number", isCount];
const quantity: Check = ["a quantity such as 100m or 128Mi", isQuantity];
const ports: Check = ["port numbers separated by commas, such as 80,443", eachOf(isPort)];
const portsOrAll: Check = [`${ports[0]}, or *`, orAll(ports[1])];
const ranges: Check = ["IP ranges separated by commas, such as 10.0.0.0/8", eachOf(isRange)];
const json: Check = ["JSON", isObject];

const checks: Readonly<Record<string, Check>> = {
  "prometheus.istio.io/merge-metrics": ["true or false", (value) => /^(1|0|t|f|true|false)$/i.test(value)],
  "sidecar.istio.io/interceptionMode": [
    "REDIRECT, TPROXY or NONE",
    (value) => ["REDIRECT", "TPROXY", "NONE"].includes(value),
  ],
  "sidecar.istio.io/proxyCPU": quantity,
  "sidecar.istio.io/proxyCPULimit": quantity,
  "sidecar.istio.io/proxyMemory": quantity,
  "sidecar.istio.io/proxyMemoryLimit": quantity,
  "sidecar.istio.io/userVolume": json,
  "sidecar.istio.io/userVolumeMount": json,
  "status.sidecar.istio.io/port": ["a port number", isPort],
  "readiness.status.sidecar.istio.io/initialDelaySeconds": count,
  "readiness.status.sidecar.istio.io/periodSeconds": count,
  "readiness.status.sidecar.istio.io/failureThreshold": count,
  "traffic.sidecar.istio.io/includeOutboundIPRanges": [`${ranges[0]}, or *`, orAll(ranges[1])],
  "traffic.sidecar.istio.io/excludeOutboundIPRanges": ranges,
  "traffic.sidecar.istio.io/includeInboundPorts": portsOrAll,
  "traffic.sidecar.istio.io/excludeInboundPorts": ports,
  "traffic.sidecar.istio.io/includeOutboundPorts": ports,
  "traffic.sidecar.istio.io/excludeOutboundPorts": ports,
};

export const annotationsAnalyzer: Analyzer = {
  name: "annotations.K8sAnalyzer",
  description: "Istio's annotations are known, are on objects where they are read, and have valid values",
  analyze(inventory, report) {
    for (const { group, kind } of [namespaceKind, serviceKind, podKind, deploymentKind]) {
      for (const resource of inventory.raw({ group, kind })) {
        for (const [name, value] of Object.entries(resource.object.metadata.annotations ?? {}))
          if (isIstios(name) && !anywhere.has(name)) checkAnnotation(resource, kind, name, value, report);
      }
    }
  },
};

function isIstios(name: string): boolean {
  return (
    name === "kubernetes.io/ingress.class" ||
    (name.split("/")[0]?.endsWith("istio.io") === true &&
      name.includes("/") &&
      !name.startsWith("operator.istio.io/") &&
      !name.startsWith("install.operator.istio.io/"))
  );
}

function checkAnnotation(resource: Resource, kind: string, name: string, value: string, report: Report): void {
  const path = `metadata.annotations.${name}`;
  const kinds = Object.entries(annotationsOfKind).flatMap(([annotatedKind, names]) =>
    names.includes(name) ? [annotatedKind] : [],
  );
  if (kinds.length === 0) {
    const near = nearestName(name, Object.values(annotationsOfKind).flat());
    // Report an unknown name only in the cluster, as istioctl does. In a file, it may be one of another release.
    if (near === undefined && resource.source !== undefined) return;
    report(
      messageTypes.unknownAnnotation,
      resource,
      path,
      `nothing reads annotation ${name}, so it has no effect; ${near === undefined ? "remove it" : `did you mean ${near}?`}`,
    );
    return;
  }
  const replacement = deprecated[name];
  const hasBoth = resource.object.metadata.labels?.[name] !== undefined;
  if (replacement !== undefined && !hasBoth)
    report(
      messageTypes.deprecatedAnnotation,
      resource,
      path,
      `annotation ${name} is deprecated and may stop working; ${replacement}`,
    );
  if (!kinds.includes(kind)) {
    const advice =
      kind === "Deployment" && kinds.includes("Pod")
        ? "move it to spec.template.metadata.annotations"
        : `move it to ${withArticle(kinds.join(" or "))}`;
    report(
      messageTypes.misplacedAnnotation,
      resource,
      path,
      `annotation ${name} has no effect on ${withArticle(kind)}; ${advice}`,
    );
    return;
  }
  const check = checks[name];
  if (check !== undefined && !check[1](value))
    report(
      messageTypes.invalidAnnotation,
      resource,
      path,
      `annotation ${name} must be ${check[0]}, got "${value}"; the injector refuses pods with it`,
    );
}
