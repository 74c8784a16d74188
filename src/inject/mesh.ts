import { parse } from "yaml";
import { messageOf, userError } from "../base/index.ts";
import { flagAt, isTree, numberAt, textAt, textMapAt, treeAt, type Tree } from "./tree.ts";

/** What injection reads of the mesh config. */
export interface MeshForInjection {
  readonly trustDomain: string;
  readonly proxyListenPort: number;
  readonly proxyInboundListenPort: number;
  readonly enablePrometheusMerge: boolean;
  readonly inboundToLocalhost: boolean;
  /** `defaultConfig`, as it is written. */
  readonly defaultConfig: Tree;
}

/** istio.mesh.v1alpha1.ProxyConfig of one pod: the mesh's, with the pod's own on top. */
export interface PodProxyConfig {
  readonly statusPort: number;
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE";
  readonly holdApplicationUntilProxyStarts: boolean;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  readonly imageType: string;
  /** For the environment variable PROXY_CONFIG: without what is default anyway. */
  readonly json: string;
}

export function readMeshForInjection(mesh: unknown): MeshForInjection {
  return {
    trustDomain: textAt(mesh, "trustDomain") ?? "cluster.local",
    proxyListenPort: numberAt(mesh, "proxyListenPort") ?? 15_001,
    proxyInboundListenPort: numberAt(mesh, "proxyInboundListenPort") ?? 15_006,
    enablePrometheusMerge: flagAt(mesh, "enablePrometheusMerge") ?? true,
    inboundToLocalhost: textAt(mesh, "inboundTrafficPolicy", "mode") === "LOCALHOST",
    defaultConfig: treeAt(mesh, "defaultConfig") ?? {},
  };
}

/** Upstream's defaults, which PROXY_CONFIG leaves out. */
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

/** The pod's proxy config. `annotation` is YAML or JSON; throws a user error that names it when it is neither. */
export function podProxyConfig(mesh: MeshForInjection, annotation: string | undefined): PodProxyConfig {
  const own = annotation === undefined ? {} : parseProxyConfig(annotation);
  const config: Record<string, unknown> = { ...mesh.defaultConfig, ...own };
  const proxyMetadata = { ...textMapAt(mesh.defaultConfig, "proxyMetadata"), ...textMapAt(own, "proxyMetadata") };
  if (Object.keys(proxyMetadata).length > 0) config["proxyMetadata"] = proxyMetadata;
  else delete config["proxyMetadata"];
  for (const [field, value] of Object.entries(defaults)) if (config[field] === value) delete config[field];
  const mode = textAt(config, "interceptionMode") ?? "REDIRECT";
  return {
    statusPort: numberAt(config, "statusPort") ?? 15_020,
    interceptionMode: mode === "TPROXY" || mode === "NONE" ? mode : "REDIRECT",
    holdApplicationUntilProxyStarts: flagAt(config, "holdApplicationUntilProxyStarts") ?? false,
    proxyMetadata,
    imageType: textAt(config, "image", "imageType") ?? "",
    json: JSON.stringify(config),
  };
}

/** The value of `proxy.istio.io/config`. */
export function parseProxyConfig(text: string): Tree {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw userError("annotation-invalid", `annotation proxy.istio.io/config is neither YAML nor JSON: ${messageOf(error)}`);
  }
  if (value === null) return {};
  if (!isTree(value)) throw userError("annotation-invalid", "annotation proxy.istio.io/config must be an object, such as holdApplicationUntilProxyStarts: true");
  return value;
}
