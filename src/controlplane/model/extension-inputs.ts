import type { EnvoyFilter, ProxyConfigObject, TrafficExtension } from "../../api/istio/index.ts";
import {
  structurallyEqual,
  type Collection,
  type CollectionGraph,
  type CollectionReader,
  type SourceCollection,
} from "../../kube/index.ts";
import type { ConfigFacts } from "./facts.ts";

export type EnvoyFilterFacts = ConfigFacts<EnvoyFilter["spec"]>;

export type ProxyConfigFacts = ConfigFacts<ProxyConfigObject["spec"]>;

/** A TrafficExtension, or a WasmPlugin in its form. */
export interface TrafficExtensionFacts extends ConfigFacts<TrafficExtension["spec"]> {
  /** Agents that load modules again with each version of the object go by it. */
  readonly resourceVersion: string;
}

/** What opens a registry, as Docker writes it; empty, with a fault, where it cannot be used. */
export interface PullSecretFacts {
  readonly config: string;
  readonly fault?: string;
}

/** Configuration that changes what proxies get beyond the mesh's own model. */
export interface ExtensionInputs {
  readonly envoyFilters: SourceCollection<EnvoyFilterFacts>;
  /** For proxies that this control plane deploys. Webhooks read their own. */
  readonly proxyConfigs: SourceCollection<ProxyConfigFacts>;
  /** Only those that plugins name. */
  readonly pullSecrets: SourceCollection<PullSecretFacts>;
  readonly wasmPlugins: SourceCollection<TrafficExtensionFacts>;
  readonly trafficExtensions: SourceCollection<TrafficExtensionFacts>;
}

export function createExtensionInputs(graph: CollectionGraph): ExtensionInputs {
  return {
    envoyFilters: graph.source<EnvoyFilterFacts>("envoy-filters", structurallyEqual),
    proxyConfigs: graph.source<ProxyConfigFacts>("proxy-configs", structurallyEqual),
    pullSecrets: graph.source<PullSecretFacts>("pull-secrets", structurallyEqual),
    wasmPlugins: graph.source<TrafficExtensionFacts>("wasm-plugins", structurallyEqual),
    trafficExtensions: graph.source<TrafficExtensionFacts>("traffic-extensions", structurallyEqual),
  };
}

/** As upstream names what it makes of a WasmPlugin; no object can be called so. */
const translatedMark = "~istio-translated-wasmplugin";

export function translatedName(plugin: string): string {
  return `${plugin}${translatedMark}`;
}

export interface PullSecretReference {
  readonly namespace: string;
  readonly name: string;
}

/** The secrets for the images of plugins: a plugin has those of its own namespace, wherever a longer name says that they are. */
export function derivePullSecretReferences(
  graph: CollectionGraph,
  { wasmPlugins, trafficExtensions }: ExtensionInputs,
): readonly Collection<PullSecretReference>[] {
  const referencesOf = (
    { namespace, spec }: TrafficExtensionFacts,
    _reader: CollectionReader,
    key: string,
  ): readonly (readonly [string, PullSecretReference])[] => {
    const secret = spec.extension.kind === "wasm" ? pullSecretName(spec.extension.wasm.imagePullSecret) : "";
    return secret === "" ? [] : [[key, { namespace, name: secret }]];
  };
  return [
    graph.derive("pull-secret-references-of-plugins", wasmPlugins, referencesOf),
    graph.derive("pull-secret-references-of-extensions", trafficExtensions, referencesOf),
  ];
}

export function pullSecretName(text: string): string {
  return text.slice(text.lastIndexOf("/") + 1);
}
