/**
 * The configuration of WebAssembly modules. It has a door of its own, so that proxies without modules do not load it.
 */
export { type Wasm, WasmSchema } from "#generated/proto/envoy/extensions/filters/http/wasm/v3/wasm_pb.js";
export {
  FailurePolicy,
  type PluginConfig,
  PluginConfigSchema,
  type VmConfig,
  VmConfigSchema,
} from "#generated/proto/envoy/extensions/wasm/v3/wasm_pb.js";
