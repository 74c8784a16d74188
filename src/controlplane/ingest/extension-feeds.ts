import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import {
  envoyFilterKind,
  proxyConfigKind,
  trafficExtensionKind,
  wasmPluginKind,
  type ProxyConfigObject,
  type TrafficExtension,
  type WasmPlugin,
} from "../../api/istio/index.ts";
import { translatedName, type ExtensionInputs } from "../model/extension-inputs.ts";
import { configFacts, type ConfigRules } from "./config-facts.ts";

interface ExtensionFeed {
  readonly kind: KindDefinition;
  take(key: string, object: KubernetesObject | undefined): void;
}

/** The kinds that extend proxies. While an object is refused, its last valid version stays in force. */
export function extensionFeeds(inputs: ExtensionInputs, rules: ConfigRules<unknown>): readonly ExtensionFeed[] {
  const { refused, revision } = rules;
  const keeping = <Facts>(
    kind: KindDefinition,
    target: { set(key: string, item: Facts): void; delete(key: string): void },
    convert: (object: KubernetesObject, rules: Pick<ConfigRules<never>, "revision" | "refused">) => Facts | undefined,
  ): ExtensionFeed => ({
    kind,
    take: (key, object) => {
      let isRefused = false;
      const rules: Pick<ConfigRules<never>, "revision" | "refused"> = {
        ...(revision === undefined ? {} : { revision }),
        refused: (bad, issues) => {
          isRefused = true;
          refused(bad, issues);
        },
      };
      const facts = object === undefined ? undefined : convert(object, rules);
      if (facts !== undefined) target.set(key, facts);
      else if (!isRefused) target.delete(key);
    },
  });
  return [
    keeping(envoyFilterKind, inputs.envoyFilters, (object, rules) =>
      configFacts(envoyFilterKind, object as never, rules),
    ),
    keeping(proxyConfigKind, inputs.proxyConfigs, (object, rules) =>
      configFacts<ProxyConfigObject["spec"]>(proxyConfigKind, object as ProxyConfigObject, rules),
    ),
    keeping(wasmPluginKind, inputs.wasmPlugins, (object, rules) => {
      const facts = configFacts<WasmPlugin["spec"]>(wasmPluginKind, object as WasmPlugin, rules);
      if (facts === undefined) return undefined;
      const { selector, targetRefs, phase, priority, match, ...wasm } = facts.spec;
      return {
        ...facts,
        name: translatedName(facts.name),
        spec: { selector, targetRefs, phase, priority, match, extension: { kind: "wasm" as const, wasm } },
        resourceVersion: versionOf(object),
      };
    }),
    keeping(trafficExtensionKind, inputs.trafficExtensions, (object, rules) => {
      const facts = configFacts<TrafficExtension["spec"]>(trafficExtensionKind, object as TrafficExtension, rules);
      return facts === undefined ? undefined : { ...facts, resourceVersion: versionOf(object) };
    }),
  ];
}

function versionOf({ metadata }: KubernetesObject): string {
  return metadata.resourceVersion ?? "";
}
