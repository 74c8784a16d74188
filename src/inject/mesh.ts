import { parseMeshConfig } from "../api/istio/index.ts";
import { joinProxyConfigs, parseProxyConfig } from "../api/proxy-config-text/index.ts";
import { textAt, textMapAt, type Tree, treeAt } from "../base/index.ts";
import { flagAt, listAt, numberAt } from "./tree.ts";

/** The part of the mesh config that injection reads. */
export interface MeshForInjection {
  readonly trustDomain: string;
  readonly rootNamespace: string;
  readonly proxyListenPort: number;
  readonly proxyInboundListenPort: number;
  readonly enablePrometheusMerge: boolean;
  readonly inboundToLocalhost: boolean;
  /** Whether some OpenTelemetry provider of the mesh wants service attributes by OpenTelemetry's conventions. */
  readonly describesServices: boolean;
  readonly defaultConfig: Tree;
}

/** The fields of istio.mesh.v1alpha1.ProxyConfig that injection reads, for one pod. */
export interface PodProxyConfig {
  readonly statusPort: number;
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE";
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  readonly imageType: string;
  /** The value of the environment variable PROXY_CONFIG. It omits upstream's defaults. */
  readonly json: string;
}

/** Reads a mesh config, with upstream's defaults. Treats a value of the wrong type as missing. */
export function readMeshForInjection(mesh: unknown): MeshForInjection {
  return {
    trustDomain: textAt(mesh, "trustDomain") ?? "cluster.local",
    rootNamespace: textAt(mesh, "rootNamespace") ?? "istio-system",
    proxyListenPort: numberAt(mesh, "proxyListenPort") ?? 15_001,
    proxyInboundListenPort: numberAt(mesh, "proxyInboundListenPort") ?? 15_006,
    enablePrometheusMerge: flagAt(mesh, "enablePrometheusMerge") ?? true,
    inboundToLocalhost: textAt(mesh, "inboundTrafficPolicy", "mode") === "LOCALHOST",
    describesServices: listAt(mesh, "extensionProviders").some(
      (provider) => textAt(provider, "opentelemetry", "serviceAttributeEnrichment") === "OTEL_SEMANTIC_CONVENTIONS",
    ),
    defaultConfig: treeAt(mesh, "defaultConfig") ?? {},
  };
}

/** Upstream's default values. PROXY_CONFIG omits fields that have them. */
const defaults: Tree = {
  configPath: "./etc/istio/proxy",
  binaryPath: "/usr/local/bin/envoy",
  serviceCluster: "istio-proxy",
  drainDuration: "45s",
  terminationDrainDuration: "5s",
  discoveryAddress: "istiod.istio-system.svc:15012",
  proxyAdminPort: 15_000,
  statNameLength: 189,
  statusPort: 15_020,
  controlPlaneAuthPolicy: "MUTUAL_TLS",
};

/** The pod's proxy config. The layers override the mesh's config, and later layers override earlier ones. */
export function podProxyConfig(mesh: MeshForInjection, layers: readonly Tree[]): PodProxyConfig {
  const config: Record<string, unknown> = { ...joinProxyConfigs([mesh.defaultConfig, ...layers]) };
  for (const [field, value] of Object.entries(defaults)) if (config[field] === value) delete config[field];
  const mode = textAt(config, "interceptionMode") ?? "REDIRECT";
  return {
    statusPort: numberAt(config, "statusPort") ?? 15_020,
    interceptionMode: mode === "TPROXY" || mode === "NONE" ? mode : "REDIRECT",
    holdApplicationUntilProxyStarts: flagAt(config, "holdApplicationUntilProxyStarts") ?? false,
    proxyMetadata: textMapAt(config, "proxyMetadata"),
    imageType: textAt(config, "image", "imageType") ?? "",
    json: JSON.stringify(config),
  };
}

export interface ProxyConfigIssues {
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Returns the faults of a proxy config in an annotation, and its fields without effect. Each text begins with the
 * field's path. Throws as {@link parseProxyConfig} does.
 */
export function proxyConfigIssues(text: string): ProxyConfigIssues {
  const { errors, warnings } = parseMeshConfig({ defaultConfig: parseProxyConfig(text) });
  const line = ({ path, message }: { readonly path: string; readonly message: string }): string =>
    `${path.replace(/^defaultConfig\.?/, "")} ${message}`.trim();
  return { errors: errors.map(line), warnings: warnings.map(line) };
}
