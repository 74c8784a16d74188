import type { Tree } from "../../base/index.ts";
import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readGateway, type GatewayConfiguration, type ResourceReference } from "./gateway-configuration.ts";

/** `istio.banzaicloud.io/v1beta1` Istio, as the operators of 1.6 and 1.7 read it: one control plane. */
export interface BanzaiIstio extends KubernetesObject {
  spec: BanzaiIstioSpec;
  status?: BanzaiStatus;
}

export interface BanzaiIstioSpec {
  /** The version, for example `1.6.8`. Each operator handles one minor release. */
  readonly version: string;
  /** True if the control plane has no revision, so that it serves namespaces with `istio-injection=enabled`. */
  readonly global: boolean;
  readonly autoInjectionNamespaces: readonly string[];
  readonly autoMtls: boolean;
  readonly mtlsMode: "STRICT" | "PERMISSIVE" | "DISABLED";
  readonly includeIPRanges: string | undefined;
  readonly excludeIPRanges: string | undefined;
  readonly outboundTrafficPolicy: "ALLOW_ANY" | "REGISTRY_ONLY";
  readonly trustDomain: string;
  readonly clusterName: string | undefined;
  readonly networkName: string | undefined;
  readonly meshId: string | undefined;
  readonly imagePullPolicy: string | undefined;
  readonly priorityClassName: string | undefined;
  readonly pilot: PilotConfiguration;
  readonly proxy: ProxyConfiguration;
  readonly proxyInitImage: string | undefined;
  readonly sidecarInjector: Tree;
  readonly podDisruptionBudget: boolean;
  readonly tracing: Tree | undefined;
  readonly localityLb: Tree | undefined;
  readonly enableAnalysis: boolean;
  readonly ingress: GatewayConfiguration;
  readonly egress: GatewayConfiguration;
}

export interface PilotConfiguration {
  readonly image: string | undefined;
  readonly replicaCount: number | undefined;
  readonly minReplicas: number | undefined;
  readonly maxReplicas: number | undefined;
  readonly traceSampling: number | undefined;
  readonly resources: Tree | undefined;
  readonly nodeSelector: Tree | undefined;
  readonly tolerations: readonly Tree[];
  readonly affinity: Tree | undefined;
  readonly podAnnotations: Readonly<Record<string, string>>;
  readonly additionalEnvVars: readonly Tree[];
}

export interface ProxyConfiguration {
  readonly image: string | undefined;
  readonly accessLogFile: string | undefined;
  readonly accessLogFormat: string | undefined;
  readonly accessLogEncoding: string | undefined;
  readonly logLevel: string | undefined;
  readonly componentLogLevel: string | undefined;
  readonly clusterDomain: string;
  readonly privileged: boolean;
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly resources: Tree | undefined;
}

export interface BanzaiStatus {
  Status?: "Created" | "ReconcileFailed" | "Reconciling" | "Available" | "Unmanaged";
  GatewayAddress?: string[];
  ErrorMessage?: string;
}

/** Deprecated and rare settings. The parser ignores them, and warns if one would change something. */
const passedOver = [
  "logging",
  "mtls",
  "controlPlaneSecurityEnabled",
  "controlPlaneAuthPolicy",
  "mountMtlsCerts",
  "defaultResources",
  "sds",
  "citadel",
  "galley",
  "mixer",
  "policy",
  "telemetry",
  "proxyWasm",
  "nodeAgent",
  "watchOneNamespace",
  "useMCP",
  "defaultConfigVisibility",
  "watchAdapterCRDs",
  "meshExpansion",
  "multiMesh",
  "istioCoreDNS",
  "mixerlessTelemetry",
  "trustDomainAliases",
  "certificates",
  "jwtPolicy",
  "caAddress",
  "httpProxyEnvs",
  "imagePullSecrets",
] as const;
const withoutEffect = [
  "citadel",
  "galley",
  "mixer",
  "policy",
  "telemetry",
  "nodeAgent",
  "istioCoreDNS",
  "meshExpansion",
  "multiMesh",
] as const;

/**
 * Parses an Istio object of Banzai Cloud's operator, and fills in the operator's defaults. `apiVersion`, `kind` and
 * `metadata` pass unchecked.
 */
export function parseBanzaiIstio(raw: unknown): Parsed<BanzaiIstio> {
  const reader = new Reader(raw);
  reader.ignore("apiVersion", "kind", "metadata", "status");
  const spec = reader.object("spec") ?? new Reader({}, "spec");
  reader.unknownFields();
  const parsed = parseSpec(spec);
  return reader.finish(() => ({ ...(raw as KubernetesObject), spec: parsed }));
}

function parseSpec(spec: Reader): BanzaiIstioSpec {
  const version = spec.required("version", spec.string("version")) ?? "";
  if (version !== "" && !isRelease(version)) spec.error(`must be a release such as 1.6.8, got "${version}"`, "version");
  const gateways = spec.object("gateways") ?? new Reader({}, "spec.gateways");
  const isOn = gateways.boolean("enabled") ?? true;
  const [ingress, egress] = [
    readGateway(gateways.object("ingress"), isOn),
    readGateway(gateways.object("egress"), isOn),
  ];
  gateways.ignore("meshExpansion", "k8singress");
  gateways.unknownFields();
  const tracing = spec.object("tracing");
  const disruption = spec.object("defaultPodDisruptionBudget");
  const result = {
    version,
    global: spec.boolean("global") ?? true,
    autoInjectionNamespaces: spec.strings("autoInjectionNamespaces"),
    autoMtls: spec.boolean("autoMtls") ?? true,
    mtlsMode:
      spec.object("meshPolicy")?.oneOf("mtlsMode", ["STRICT", "PERMISSIVE", "DISABLED"]) ?? ("PERMISSIVE" as const),
    includeIPRanges: spec.string("includeIPRanges"),
    excludeIPRanges: spec.string("excludeIPRanges"),
    outboundTrafficPolicy:
      spec.object("outboundTrafficPolicy")?.oneOf("mode", ["ALLOW_ANY", "REGISTRY_ONLY"]) ?? ("ALLOW_ANY" as const),
    trustDomain: spec.string("trustDomain") ?? "cluster.local",
    clusterName: spec.string("clusterName"),
    networkName: spec.string("networkName"),
    meshId: spec.string("meshID"),
    imagePullPolicy: spec.string("imagePullPolicy"),
    priorityClassName: spec.string("priorityClassName"),
    pilot: readPilot(spec.object("pilot") ?? new Reader({})),
    proxy: readProxy(spec.object("proxy") ?? new Reader({})),
    proxyInitImage: spec.object("proxyInit")?.string("image"),
    sidecarInjector: (spec.object("sidecarInjector")?.raw ?? {}) as Tree,
    podDisruptionBudget: disruption?.boolean("enabled") ?? true,
    tracing: tracing?.boolean("enabled") === true ? (tracing.raw as Tree) : undefined,
    localityLb: spec.object("localityLB")?.raw as Tree | undefined,
    enableAnalysis: spec.object("istiod")?.boolean("enableAnalysis") ?? false,
    ingress,
    egress,
  };
  if (spec.object("istiod")?.boolean("enabled") === false)
    spec.error("must be true: control planes from before istiod no longer exist", "istiod.enabled");
  for (const field of withoutEffect) {
    const inner = spec.object(field);
    if (inner?.boolean("enabled") === true)
      spec.warn("has no effect: releases from 1.8 on do not have it", `${field}.enabled`);
  }
  spec.ignore(...passedOver);
  spec.unknownFields();
  return result;
}

function readPilot(pilot: Reader): PilotConfiguration {
  return {
    image: pilot.string("image"),
    replicaCount: pilot.integer("replicaCount", 0),
    minReplicas: pilot.integer("minReplicas", 0),
    maxReplicas: pilot.integer("maxReplicas", 0),
    traceSampling: pilot.number("traceSampling"),
    resources: pilot.object("resources")?.raw as Tree | undefined,
    nodeSelector: pilot.object("nodeSelector")?.raw as Tree | undefined,
    tolerations: pilot.list("tolerations").map((item) => item.raw as Tree),
    affinity: pilot.object("affinity")?.raw as Tree | undefined,
    podAnnotations: pilot.stringMap("podAnnotations"),
    additionalEnvVars: pilot.list("additionalEnvVars").map((item) => item.raw as Tree),
  };
}

function readProxy(proxy: Reader): ProxyConfiguration {
  return {
    image: proxy.string("image"),
    accessLogFile: proxy.string("accessLogFile"),
    accessLogFormat: proxy.string("accessLogFormat"),
    accessLogEncoding: proxy.string("accessLogEncoding"),
    logLevel: proxy.string("logLevel"),
    componentLogLevel: proxy.string("componentLogLevel"),
    clusterDomain: proxy.string("clusterDomain") ?? "cluster.local",
    privileged: proxy.boolean("privileged") ?? false,
    holdApplicationUntilProxyStarts: proxy.boolean("holdApplicationUntilProxyStarts") ?? false,
    resources: proxy.object("resources")?.raw as Tree | undefined,
  };
}

/**
 * This kind has no parser, because each operator (of 1.6 and of 1.7) must also see the objects of the other one. Each
 * operator reports the faults of its own objects itself.
 */
export const banzaiIstioKind = defineKind<KubernetesObject & { spec?: Tree; status?: BanzaiStatus }>({
  group: "istio.banzaicloud.io",
  versions: ["v1beta1"],
  kind: "Istio",
  plural: "istios",
  namespaced: true,
});

export function isRelease(version: string): boolean {
  return /^1\.\d+\.\d+$/.test(version);
}

export function minorOf(version: string): string {
  return version.split(".").slice(0, 2).join(".");
}

/**
 * The suffix of the names of the control plane's objects: empty for a global control plane, or else the object's name.
 */
export function resourceSuffixOf({ metadata, spec }: BanzaiIstio): string {
  return spec.global ? "" : (metadata.name ?? "").replaceAll(".", "-");
}

/** The value of `istio.io/rev` for the control plane: `<name>.<namespace>`, also for a global control plane. */
export function revisionLabelOf(reference: ResourceReference): string {
  return `${reference.name.replaceAll(".", "-")}.${reference.namespace}`;
}
