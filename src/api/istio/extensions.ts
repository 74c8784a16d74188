import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { areRepeated, type Reader } from "../reader.ts";
import { openObject, readPortNumber, refuseDryRun, refuseUnknown, requireText, warnOfUnknown } from "./fields.ts";
import { readPolicyTarget, type PolicyTarget } from "./policy-target.ts";

/** The group of code that proxies load. Serin's own proxy runs only the extensions that handle requests. */
const extensionsGroup = "extensions.istio.io";

export interface WasmPlugin extends KubernetesObject {
  spec: PolicyTarget & WasmModule & ExtensionPlace;
}

export interface TrafficExtension extends KubernetesObject {
  spec: PolicyTarget & ExtensionPlace & { readonly extension: TrafficExtensionCode };
}

export type TrafficExtensionCode =
  | { readonly kind: "wasm"; readonly wasm: WasmModule }
  | { readonly kind: "lua"; readonly inlineCode: string };

export interface WasmModule {
  readonly url: string;
  readonly sha256: string;
  readonly imagePullPolicy: "UNSPECIFIED_POLICY" | "IfNotPresent" | "Always";
  readonly imagePullSecret: string;
  readonly verificationKey: string;
  readonly pluginName: string;
  readonly pluginConfig: Readonly<Record<string, unknown>>;
  readonly failStrategy: "FAIL_CLOSE" | "FAIL_OPEN" | "FAIL_RELOAD";
  readonly type: "UNSPECIFIED_PLUGIN_TYPE" | "HTTP" | "NETWORK";
  readonly env: readonly { readonly name: string; readonly valueFrom: "INLINE" | "HOST"; readonly value: string }[];
}

export interface ExtensionPlace {
  readonly phase: "UNSPECIFIED" | "AUTHN" | "AUTHZ" | "STATS";
  /** Extensions with higher values come first. */
  readonly priority?: number | undefined;
  readonly match: readonly {
    readonly mode: "UNDEFINED" | "CLIENT" | "SERVER" | "CLIENT_AND_SERVER";
    readonly ports: readonly number[];
  }[];
}

const schemes = ["oci:", "http:", "https:", "file:"];
const maxNameLength = 256;
const maxSecretLength = 253;
const maxLuaBytes = 65_536;

function parseWasmPlugin(raw: unknown): Parsed<WasmPlugin> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const spec = { ...readPolicyTarget(reader), ...readWasmModule(reader), ...readPlace(reader) };
  warnOfWasm(reader, spec);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as WasmPlugin), spec }));
}

function parseTrafficExtension(raw: unknown): Parsed<TrafficExtension> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  const wasm = reader.object("wasm");
  const lua = reader.object("lua");
  if ((wasm === undefined) === (lua === undefined)) reader.error("must have exactly one of wasm and lua");
  const extension: TrafficExtensionCode =
    wasm === undefined ? { kind: "lua", inlineCode: readLua(lua) } : { kind: "wasm", wasm: readWasmModule(wasm) };
  const spec = { ...readPolicyTarget(reader), ...readPlace(reader), extension };
  if (extension.kind === "wasm") warnOfWasm(wasm ?? reader, extension.wasm);
  refuseUnknown(wasm);
  refuseUnknown(lua);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as TrafficExtension), spec }));
}

function warnOfWasm(reader: Reader, { failStrategy, type, verificationKey }: WasmModule): void {
  if (type === "NETWORK")
    reader.warnNoEffect(
      `NETWORK runs only in Envoy; Serin's own proxy ${failStrategy === "FAIL_OPEN" ? "skips the module" : "refuses all connections"}, because of failStrategy`,
      "type",
    );
  if (verificationKey !== "")
    reader.warnNoEffect("has no effect: images are not verified; pin the image with sha256", "verificationKey");
}

function readLua(reader: Reader | undefined): string {
  const code = reader === undefined ? "" : requireText(reader, "inlineCode");
  if (code.length > maxLuaBytes)
    reader?.error(`must have at most ${maxLuaBytes} characters, got ${code.length}`, "inlineCode");
  return code;
}

function readWasmModule(reader: Reader): WasmModule {
  const vm = reader.object("vmConfig");
  const module: WasmModule = {
    url: requireText(reader, "url"),
    sha256: reader.string("sha256") ?? "",
    imagePullPolicy:
      reader.oneOf("imagePullPolicy", ["UNSPECIFIED_POLICY", "IfNotPresent", "Always"]) ?? "UNSPECIFIED_POLICY",
    imagePullSecret: reader.string("imagePullSecret") ?? "",
    verificationKey: reader.string("verificationKey") ?? "",
    pluginName: reader.string("pluginName") ?? "",
    pluginConfig: reader.freeForm("pluginConfig") ?? {},
    failStrategy: reader.oneOf("failStrategy", ["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]) ?? "FAIL_CLOSE",
    type: reader.oneOf("type", ["UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"]) ?? "UNSPECIFIED_PLUGIN_TYPE",
    env: (vm?.objects("env") ?? []).map(readVariable),
  };
  checkModule(reader, module);
  warnOfUnknown(vm);
  return module;
}

function checkModule(reader: Reader, module: WasmModule): void {
  if (module.url !== "" && !isModuleUrl(module.url))
    reader.error(
      `must be a URL with oci://, http://, https:// or file://, or an image reference, got "${module.url}"`,
      "url",
    );
  if (module.sha256 !== "" && !/^[a-f0-9]{64}$/.test(module.sha256))
    reader.error("must be 64 hexadecimal digits in lower case", "sha256");
  if (module.imagePullSecret.length > maxSecretLength)
    reader.error(`must have at most ${maxSecretLength} characters`, "imagePullSecret");
  if (module.pluginName.length > maxNameLength)
    reader.error(`must have at most ${maxNameLength} characters`, "pluginName");
  const repeated = areRepeated(module.env.map(({ name }) => name));
  for (const [index, { name }] of module.env.entries()) {
    if (repeated[index] === true)
      reader.error(`appears twice, got "${name}"; remove one`, `vmConfig.env[${index}].name`);
  }
}

/**
 * Whether the text is the URL of a module. A URL without a scheme names an image. A scheme alone is refused: a proxy
 * would reject such a plugin, and a listener does not open before it has the configuration of all its plugins.
 */
function isModuleUrl(text: string): boolean {
  const scheme = /^[a-z][a-z0-9+.-]*:(?=\/\/)/i.exec(text)?.[0].toLowerCase();
  if (scheme === undefined) return /^[a-zA-Z0-9][-\w.:/@]*$/.test(text);
  return schemes.includes(scheme) && /^[^/\s]*:\/\/\S+$/.test(text);
}

function readVariable(reader: Reader): WasmModule["env"][number] {
  const variable = {
    name: requireText(reader, "name"),
    valueFrom: reader.oneOf("valueFrom", ["INLINE", "HOST"]) ?? "INLINE",
    value: reader.string("value") ?? "",
  };
  if (variable.name.length > maxNameLength) reader.error(`must have at most ${maxNameLength} characters`, "name");
  if (variable.valueFrom === "HOST" && variable.value !== "")
    reader.error("must not be set when valueFrom is HOST", "value");
  refuseUnknown(reader);
  return variable;
}

function readPlace(reader: Reader): ExtensionPlace {
  const phase = reader.oneOf("phase", ["UNSPECIFIED", "UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"]) ?? "UNSPECIFIED";
  const match = reader.objects("match").map((entry) => {
    const ports = entry.objects("ports").map((port) => port.required("number", readPortNumber(port, "number")) ?? 0);
    const found = {
      mode: entry.oneOf("mode", ["UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"]) ?? "UNDEFINED",
      ports,
    } as const;
    refuseUnknown(entry);
    return found;
  });
  return { phase: phase === "UNSPECIFIED_PHASE" ? "UNSPECIFIED" : phase, priority: reader.integer("priority"), match };
}

export const wasmPluginKind = defineKind<WasmPlugin>({
  group: extensionsGroup,
  versions: ["v1alpha1"],
  kind: "WasmPlugin",
  plural: "wasmplugins",
  namespaced: true,
  parse: parseWasmPlugin,
});

export const trafficExtensionKind = defineKind<TrafficExtension>({
  group: extensionsGroup,
  versions: ["v1alpha1"],
  kind: "TrafficExtension",
  plural: "trafficextensions",
  namespaced: true,
  parse: parseTrafficExtension,
});
