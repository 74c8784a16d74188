import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import type { EnvoyTypes } from "../../wire/envoy-types/index.ts";
import type { WasmModule } from "../../api/istio/index.ts";
import type { SelectedExtension } from "../model/extension-selection.ts";
import { guardedScript } from "./guarded-script.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/** The place and the configuration of one filter. `config` is sent as a separate resource under its name. */
export interface CompiledExtension {
  readonly name: string;
  readonly selected: SelectedExtension;
  /** The filter's configuration in HTTP chains, or undefined if it does not exist for them. */
  readonly http: JsonObject | undefined;
  readonly network: JsonObject | undefined;
  readonly config: EncodedResource | undefined;
}

export interface ExtensionContext {
  readonly types: EnvoyTypes;
  /** Whether the proxy is an Envoy. Serin's own proxy runs modules for requests, not for connections. */
  readonly envoy: boolean;
  readonly discovers: boolean;
  /** The content of an image pull secret. Empty if it does not exist or the proxy may not read it. */
  readonly pullSecret: (namespace: string, name: string) => string;
}

const namePrefix = "extensions.istio.io/trafficextension/";
const typeUrl = (name: string): string => `type.googleapis.com/envoy.extensions.${name}`;
const wasmTypes = {
  HTTP: typeUrl("filters.http.wasm.v3.Wasm"),
  NETWORK: typeUrl("filters.network.wasm.v3.Wasm"),
} as const;
const rbacTypes = {
  HTTP: typeUrl("filters.http.rbac.v3.RBAC"),
  NETWORK: typeUrl("filters.network.rbac.v3.RBAC"),
} as const;

export function compileExtension(selected: SelectedExtension, context: ExtensionContext): CompiledExtension {
  const { namespace, name, spec } = selected.facts;
  const resource = `${namePrefix}${namespace}.${name}`;
  if (spec.extension.kind === "lua") {
    const { inlineCode } = spec.extension;
    const isShared = selected.hosts !== undefined;
    const http = {
      name: resource,
      // Mark the filter as optional for Serin's own proxy. If the script does not load, this proxy then fails only the
      // service's requests, and the waypoint's listener stays valid for other services. Older versions of the proxy,
      // which do not support Lua, would skip an optional filter without a word, so they do not get the mark.
      isOptional: isShared && context.discovers && !context.envoy,
      typedConfig: {
        "@type": typeUrl("filters.http.lua.v3.Lua"),
        defaultSourceCode: { inlineString: isShared && context.envoy ? guardedScript(inlineCode) : inlineCode },
      },
    };
    return { name: resource, selected, http, network: undefined, config: undefined };
  }
  const { wasm } = spec.extension;
  const type = wasm.type === "NETWORK" ? "NETWORK" : "HTTP";
  const filter = filterOf(resource, type, selected, wasm, context);
  return {
    name: resource,
    selected,
    http: type === "HTTP" ? filter : undefined,
    network: type === "NETWORK" ? filter : undefined,
    config: isDiscovered(type, context) ? extensionConfig(resource, type, selected, wasm, context) : undefined,
  };
}

/**
 * Whether the configuration of a module is sent as a separate resource. Serin's own proxy runs no modules for
 * connections, and its older versions do not accept modules by discovery.
 */
function isDiscovered(type: keyof typeof wasmTypes, { envoy, discovers }: ExtensionContext): boolean {
  return envoy || (discovers && type === "HTTP");
}

function filterOf(
  name: string,
  type: keyof typeof wasmTypes,
  { facts }: SelectedExtension,
  wasm: WasmModule,
  context: ExtensionContext,
): JsonObject | undefined {
  const { pullSecret } = context;
  if (isDiscovered(type, context)) return discovered(name, type);
  return type === "HTTP"
    ? { name, typedConfig: { "@type": wasmTypes.HTTP, config: pluginConfig(facts, wasm, pullSecret) } }
    : closed(name, wasm);
}

/**
 * A filter whose module is sent as a separate resource. If the module cannot be loaded, the proxy's agent replaces it
 * with a filter that rejects all requests, or lets all of them through.
 */
function discovered(name: string, type: keyof typeof wasmTypes): JsonObject {
  return {
    name,
    configDiscovery: {
      configSource: { ads: {}, initialFetchTimeout: "0s", resourceApiVersion: "V3" },
      typeUrls: [wasmTypes[type], rbacTypes[type]],
    },
  };
}

/**
 * The filter for connections at Serin's own proxy, which runs no modules for connections: none if the module fails
 * open, or else one that rejects every connection.
 */
function closed(name: string, { failStrategy }: WasmModule): JsonObject | undefined {
  if (failStrategy === "FAIL_OPEN") return undefined;
  return { name, typedConfig: { "@type": rbacTypes.NETWORK, rules: {}, statPrefix: "wasm." } };
}

function extensionConfig(
  name: string,
  type: keyof typeof wasmTypes,
  { facts }: SelectedExtension,
  wasm: WasmModule,
  { types, pullSecret }: ExtensionContext,
): EncodedResource {
  const desc = types.mustHave("envoy.config.core.v3.TypedExtensionConfig");
  const config = pluginConfig(facts, wasm, pullSecret);
  return encodeResource(
    desc,
    name,
    fromJson(desc, { name, typedConfig: { "@type": wasmTypes[type], config } }, { registry: types.registry }),
  );
}

/**
 * The configuration of a plugin as the message PluginConfig. Variables named ISTIO_META_ are for the proxy's agent,
 * which fetches the module, and never reach the module.
 */
function pluginConfig(
  facts: SelectedExtension["facts"],
  wasm: WasmModule,
  pullSecret: ExtensionContext["pullSecret"],
): JsonObject {
  const secret =
    wasm.imagePullSecret === ""
      ? {}
      : { ISTIO_META_WASM_IMAGE_PULL_SECRET: pullSecret(facts.namespace, wasm.imagePullSecret) };
  return {
    name: `${facts.namespace}.${facts.name}`,
    rootId: wasm.pluginName,
    failurePolicy: wasm.failStrategy === "FAIL_CLOSE" ? "FAIL_CLOSED" : wasm.failStrategy,
    configuration:
      Object.keys(wasm.pluginConfig).length === 0
        ? {}
        : { "@type": "type.googleapis.com/google.protobuf.StringValue", value: sortedJson(wasm.pluginConfig) },
    vmConfig: {
      runtime: "envoy.wasm.runtime.v8",
      code: sourceOf(wasm),
      environmentVariables: {
        hostEnvKeys: wasm.env.filter(({ valueFrom }) => valueFrom === "HOST").map((variable) => variable.name),
        keyValues: {
          ...secret,
          ...(wasm.imagePullPolicy === "UNSPECIFIED_POLICY"
            ? {}
            : { ISTIO_META_WASM_IMAGE_PULL_POLICY: wasm.imagePullPolicy }),
          ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION: facts.resourceVersion,
          ...Object.fromEntries(
            wasm.env
              .filter(({ valueFrom }) => valueFrom === "INLINE")
              .map((variable) => [variable.name, variable.value]),
          ),
        },
      },
    },
  };
}

const fetchTimeout = "30s";

/** Where a module comes from. It needs no cluster, because the proxy's agent fetches it. */
function sourceOf({ url, sha256 }: WasmModule): JsonObject {
  if (/^file:/i.test(url)) return { local: { filename: url.replace(/^file:\/\//, "") } };
  const uri = /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `oci://${url}`;
  return { remote: { httpUri: { uri, timeout: fetchTimeout, cluster: "_" }, sha256 } };
}

/** Serializes a value so that equal content gives equal text. */
function sortedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sortedJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${sortedJson(item)}`).join(",")}}`;
}
