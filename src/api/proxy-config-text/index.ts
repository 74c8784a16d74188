// Reads proxy configs of pods, and joins them as upstream does. It loads little, because proxies load it when they
// start.
import type * as Yaml from "yaml";
import { isTree, loadPackage, messageOf, textMapAt, type Tree, treeAt, userError } from "../../base/index.ts";
import { valueForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { yamlBoundsFault } from "../../base/yaml-bounds/index.ts";
import { withJsonNames } from "../istio/mesh-config/proto-json-names.ts";

/** Reads the annotation `proxy.istio.io/config`, which is YAML or JSON. Throws a user error if it is neither. */
export function parseProxyConfig(text: string): Tree {
  const fault = yamlBoundsFault(text);
  if (fault !== undefined)
    throw userError(
      "annotation-invalid",
      `annotation proxy.istio.io/config ${fault}: move settings that many pods share to defaultConfig of the mesh config`,
    );
  let value: unknown;
  try {
    value = valueForKubernetes(loadPackage<typeof Yaml>("yaml"), text);
  } catch (error) {
    throw userError(
      "annotation-invalid",
      `annotation proxy.istio.io/config is neither YAML nor JSON: ${messageOf(error)}`,
    );
  }
  if (value === null) return {};
  value = withJsonNames(value);
  if (!isTree(value))
    throw userError(
      "annotation-invalid",
      "annotation proxy.istio.io/config must be an object, such as holdApplicationUntilProxyStarts: true",
    );
  return Object.fromEntries(
    Object.entries(value).map(([field, item]) => [
      field,
      numeric.has(field) && typeof item === "string" && /^\d{1,9}$/.test(item) ? Number(item) : item,
    ]),
  );
}

/** Fields with numbers. As in protobuf's JSON, a number may also be in quotes. */
const numeric: ReadonlySet<string> = new Set(["concurrency", "proxyAdminPort", "statNameLength", "statusPort"]);

/**
 * Joins proxy configs. A field of a later layer replaces that of an earlier one, except that `proxyMetadata` and some
 * of `proxyHeaders` are joined member by member.
 */
export function joinProxyConfigs(layers: readonly Tree[]): Tree {
  const config: Record<string, unknown> = Object.assign({}, ...layers) as Tree;
  const proxyMetadata = Object.assign({}, ...layers.map((layer) => textMapAt(layer, "proxyMetadata"))) as Tree;
  if (Object.keys(proxyMetadata).length > 0) config["proxyMetadata"] = proxyMetadata;
  else delete config["proxyMetadata"];
  const proxyHeaders = layers.reduce<Tree | undefined>(
    (before, layer) => joinedHeaders(before, treeAt(layer, "proxyHeaders")),
    undefined,
  );
  if (proxyHeaders !== undefined) config["proxyHeaders"] = proxyHeaders;
  return config;
}

/**
 * The members of `proxyHeaders` that are joined, as in upstream: one that a later layer does not set keeps the earlier
 * layer's value.
 */
const keptHeaders = ["forwardedClientCert", "requestId", "attemptCount", "server", "envoyDebugHeaders"] as const;

function joinedHeaders(before: Tree | undefined, over: Tree | undefined): Tree | undefined {
  if (before === undefined || over === undefined) return over ?? before;
  return {
    ...Object.fromEntries(
      keptHeaders.flatMap((field) => (before[field] === undefined ? [] : [[field, before[field]]])),
    ),
    ...over,
  };
}
