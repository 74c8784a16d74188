import { createHash } from "node:crypto";
import { fromBinary, fromJson, toJson } from "@bufbuild/protobuf";
import { anyUnpack, BytesValueSchema, StringValueSchema, StructSchema, type Any } from "@bufbuild/protobuf/wkt";
import { ownField } from "../../../base/index.ts";
import { envoyRegistry } from "../../../wire/envoy/index.ts";
import {
  FailurePolicy,
  PluginConfigSchema,
  VmConfigSchema,
  WasmSchema,
  type PluginConfig,
  type VmConfig,
  type Wasm,
} from "../../../wire/envoy-wasm/index.ts";
import type { ModuleLocation, WasmSettings } from "../../filters/lazy-wasm-filter.ts";
import { bigintText } from "../../terms/bigint-text.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { typedJsonOf } from "../typed-struct.ts";

export const wasmType = "envoy.extensions.filters.http.wasm.v3.Wasm";
const defaultFetchMs = 5000;
/** The prefix of variables for the proxy's agent. Modules never see these variables. */
const agentPrefix = "ISTIO_META_";
const versionName = `${agentPrefix}WASM_PLUGIN_RESOURCE_VERSION`;
const policyName = `${agentPrefix}WASM_IMAGE_PULL_POLICY`;
const secretName = `${agentPrefix}WASM_IMAGE_PULL_SECRET`;
const pulls: Readonly<Record<string, "always" | "if-not-present">> = {
  Always: "always",
  IfNotPresent: "if-not-present",
};
const runtimes: ReadonlySet<string> = new Set([
  "",
  "envoy.wasm.runtime.v8",
  "envoy.wasm.runtime.wamr",
  "envoy.wasm.runtime.wasmtime",
]);

export function readWasm(any: Any): Wasm {
  return fromBinary(WasmSchema, any.value);
}

export function readWasmStruct(any: Any): Wasm | undefined {
  const json = typedJsonOf(any);
  if (json?.typeUrl.endsWith(`/${wasmType}`) !== true) return undefined;
  return fromJson(WasmSchema, json.value, { registry: envoyRegistry() });
}

export function compileWasm(message: Wasm, where: string, notes: ConfigNotes): WasmSettings {
  const { config } = message;
  if (config?.vm.case !== "vmConfig") throw invalid(where, "config.vmConfig must be set");
  checkFields(PluginConfigSchema, config, `${where}: config`, notes, {
    used: ["name", "rootId", "vmConfig", "configuration", "failOpen", "failurePolicy"],
    harmless: ["reloadConfig"],
  });
  const vm = config.vm.value;
  checkFields(VmConfigSchema, vm, `${where}: config: vmConfig`, notes, {
    used: ["vmId", "runtime", "code", "configuration", "environmentVariables"],
    harmless: ["allowPrecompiled", "nackOnCodeCacheMiss"],
  });
  if (!runtimes.has(vm.runtime)) throw unsupported(where, `the runtime ${vm.runtime}`);
  return {
    plugin: { name: config.name, rootId: config.rootId, configuration: bytesOf(config.configuration) },
    vmId: vm.vmId,
    vmConfiguration: bytesOf(vm.configuration),
    environment: environmentOf(vm),
    code: locationOf(vm, where),
    failure: failureOf(config),
    key: createHash("sha256").update(JSON.stringify(message, bigintText)).digest("hex"),
  };
}

function failureOf({ failurePolicy, failOpen }: PluginConfig): WasmSettings["failure"] {
  if (failurePolicy === FailurePolicy.FAIL_RELOAD) return "reload";
  return failurePolicy === FailurePolicy.FAIL_OPEN || (failurePolicy === FailurePolicy.UNSPECIFIED && failOpen)
    ? "open"
    : "closed";
}

function environmentOf({ environmentVariables }: VmConfig): WasmSettings["environment"] {
  const given = Object.entries(environmentVariables?.keyValues ?? {}).filter(([name]) => !name.startsWith(agentPrefix));
  const ours = (environmentVariables?.hostEnvKeys ?? []).flatMap((name) => {
    const value = ownField(process.env, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return [...given, ...ours];
}

function locationOf({ code, environmentVariables }: VmConfig, where: string): ModuleLocation {
  const specifier = code?.specifier;
  if (specifier?.case === "remote") {
    const { httpUri, sha256 } = specifier.value;
    if (httpUri === undefined) throw invalid(where, "config.vmConfig.code.remote.httpUri must be set");
    return {
      kind: "remote",
      url: httpUri.uri,
      sha256: sha256 === "nil" ? "" : sha256.toLowerCase(),
      timeoutMs: durationOr(httpUri.timeout, defaultFetchMs),
      version: environmentVariables?.keyValues[versionName] ?? "",
      pull: ownField(pulls, environmentVariables?.keyValues[policyName] ?? "") ?? "default",
      secret: environmentVariables?.keyValues[secretName] ?? "",
    };
  }
  const local = specifier?.case === "local" ? specifier.value.specifier : undefined;
  switch (local?.case) {
    case "filename":
      if (local.value !== "") return { kind: "file", path: local.value };
      break;
    case "inlineBytes":
      return { kind: "inline", bytes: local.value };
    case "inlineString":
      return { kind: "inline", bytes: Buffer.from(local.value, "latin1") };
    default:
      break;
  }
  throw invalid(where, "config.vmConfig.code must name a file, bytes or a remote address");
}

/**
 * A module gets a text or bytes without their wrapper message, and a structure as JSON. It gets any other message in
 * its encoded form.
 */
function bytesOf(any: Any | undefined): Uint8Array {
  if (any === undefined) return new Uint8Array();
  const text = anyUnpack(any, StringValueSchema);
  if (text !== undefined) return Buffer.from(text.value);
  const bytes = anyUnpack(any, BytesValueSchema);
  if (bytes !== undefined) return bytes.value;
  const struct = anyUnpack(any, StructSchema);
  return struct === undefined ? any.value : Buffer.from(JSON.stringify(toJson(StructSchema, struct)));
}
