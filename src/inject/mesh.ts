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
  /** Whether an OpenTelemetry collector expects service names by OpenTelemetry's conventions. */
  readonly describesServices: boolean;
  /** The unparsed `defaultConfig`. */
  readonly defaultConfig: Tree;
}

/** istio.mesh.v1alpha1.ProxyConfig for one pod. The pod's own settings override the mesh's. */
export interface PodProxyConfig {
  readonly statusPort: number;
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE";
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  readonly imageType: string;
  /** The value of the variable PROXY_CONFIG, without defaults. */
  readonly json: string;
}

/** Reads the fields of a mesh config that injection needs, with upstream's defaults. Ignores values of another type. */
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

/** Upstream's defaults, which PROXY_CONFIG omits. */
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

/** The pod's proxy config: these layers on top of the mesh's. Later layers override earlier ones. */
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
 * The invalid fields of an annotation's value, and the fields without effect. Each text begins with its field. Throws
 * as {@link parseProxyConfig} does.
 */
export function proxyConfigIssues(text: string): ProxyConfigIssues {
  const { errors, warnings } = parseMeshConfig({ defaultConfig: parseProxyConfig(text) });
  const line = ({ path, message }: { readonly path: string; readonly message: string }): string =>
    `${path.replace(/^defaultConfig\.?/, "")} ${message}`.trim();
  return { errors: errors.map(line), warnings: warnings.map(line) };
}
