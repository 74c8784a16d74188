import type { EnvoyFilter, ProxyConfigObject, TrafficExtension } from "../../api/istio/index.ts";
import { structurallyEqual, type CollectionGraph, type SourceCollection } from "../../kube/index.ts";
import type { ConfigFacts } from "./facts.ts";

export type EnvoyFilterFacts = ConfigFacts<EnvoyFilter["spec"]>;

export type ProxyConfigFacts = ConfigFacts<ProxyConfigObject["spec"]>;

/** A TrafficExtension, or a WasmPlugin in its form. */
export interface TrafficExtensionFacts extends ConfigFacts<TrafficExtension["spec"]> {
  /** Agents that load modules again with each version of the object go by it. */
  readonly resourceVersion: string;
}

/** Of what changes proxies' configuration beyond what a mesh says. */
export interface ExtensionInputs {
  readonly envoyFilters: SourceCollection<EnvoyFilterFacts>;
  /** Of proxies that this control plane deploys; webhooks read their own. */
  readonly proxyConfigs: SourceCollection<ProxyConfigFacts>;
  readonly wasmPlugins: SourceCollection<TrafficExtensionFacts>;
  readonly trafficExtensions: SourceCollection<TrafficExtensionFacts>;
}

export function createExtensionInputs(graph: CollectionGraph): ExtensionInputs {
  return {
    envoyFilters: graph.source<EnvoyFilterFacts>("envoy-filters", structurallyEqual),
    proxyConfigs: graph.source<ProxyConfigFacts>("proxy-configs", structurallyEqual),
    wasmPlugins: graph.source<TrafficExtensionFacts>("wasm-plugins", structurallyEqual),
    trafficExtensions: graph.source<TrafficExtensionFacts>("traffic-extensions", structurallyEqual),
  };
}

/** As upstream names what it makes of a WasmPlugin; no object can be called so. */
const translatedMark = "~istio-translated-wasmplugin";

export function translatedName(plugin: string): string {
  return `${plugin}${translatedMark}`;
}
