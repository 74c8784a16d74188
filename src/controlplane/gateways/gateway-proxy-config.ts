import { imageTag } from "../../api/images/index.ts";
import { istioLabels, type ProxyConfigObject } from "../../api/istio/index.ts";
import { imageTagOfType, proxyConfigLayers } from "../../inject/index.ts";
import type { ProxyConfigFacts } from "../model/index.ts";
import type { ProxySettings } from "./proxy-pod.ts";

export interface GatewayProxyScope {
  readonly namespace: string;
  readonly name: string;
  readonly rootNamespace: string;
}

/**
 * The settings of a Gateway's proxies. The ProxyConfigs of the mesh, the namespace and the Gateway's label override the
 * mesh config.
 */
export function withProxyConfigs(
  proxy: ProxySettings,
  configs: Iterable<ProxyConfigFacts>,
  { namespace, name, rootNamespace }: GatewayProxyScope,
): ProxySettings {
  const objects = [...configs].map((facts): ProxyConfigObject => ({
    metadata: {
      name: facts.name,
      namespace: facts.namespace,
      labels: { ...facts.labels },
      creationTimestamp: facts.createdAt,
    },
    spec: facts.spec,
  }));
  const layers = proxyConfigLayers(objects, {
    namespace,
    rootNamespace,
    revision: proxy.revision,
    labels: { [istioLabels.gatewayName]: name },
    annotation: undefined,
  });
  const last = (field: string): unknown => layers.findLast((layer) => layer[field] !== undefined)?.[field];
  const concurrency = last("concurrency");
  const image = last("image") as { readonly imageType: string } | undefined;
  return {
    ...proxy,
    ...(typeof concurrency === "number" ? { concurrency } : {}),
    ...(image === undefined ? {} : { image: imageOfType(proxy.image, image.imageType) }),
    proxyMetadata: Object.assign(
      {},
      proxy.proxyMetadata,
      ...layers.map((layer) => layer["proxyMetadata"] ?? {}),
    ) as Record<string, string>,
  };
}

function imageOfType(image: string, type: string): string {
  const tag = imageTag(image);
  return tag === "" || image.includes("@") ? image : `${image.slice(0, -tag.length)}${imageTagOfType(tag, type)}`;
}
