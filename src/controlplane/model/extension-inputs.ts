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

/** A TrafficExtension, or a WasmPlugin converted to one. */
export interface TrafficExtensionFacts extends ConfigFacts<TrafficExtension["spec"]> {
  /** A part of the resource name, so that agents load the module again when the object changes. */
  readonly resourceVersion: string;
}

/** Registry credentials in Docker's format. `config` is empty, with a fault, if they cannot be used. */
export interface PullSecretFacts {
  readonly config: string;
  readonly fault?: string;
}

/** Configuration that changes the resources of proxies directly, and so is no part of the mesh's model. */
export interface ExtensionInputs {
  readonly envoyFilters: SourceCollection<EnvoyFilterFacts>;
  /** The ProxyConfigs, for proxies that this control plane deploys. Injection webhooks read ProxyConfigs themselves. */
  readonly proxyConfigs: SourceCollection<ProxyConfigFacts>;
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

/** Upstream's suffix for a converted WasmPlugin. No Kubernetes object can have a name with it. */
const translatedMark = "~istio-translated-wasmplugin";

export function translatedName(plugin: string): string {
  return `${plugin}${translatedMark}`;
}

export interface PullSecretReference {
  readonly namespace: string;
  readonly name: string;
}

/**
 * References to the pull secrets of plugins. A plugin gets only secrets of its own namespace, even if it names another
 * one.
 */
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
