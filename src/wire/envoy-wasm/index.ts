/** The configuration of WebAssembly modules. It has its own door, so that proxies without modules do not load it. */
export { type Wasm, WasmSchema } from "#generated/proto/envoy/extensions/filters/http/wasm/v3/wasm_pb.js";
export {
  FailurePolicy,
  type CapabilityRestrictionConfig,
  type EnvironmentVariables,
  type PluginConfig,
  PluginConfigSchema,
  type ReloadConfig,
  type SanitizationConfig,
  type VmConfig,
  VmConfigSchema,
} from "#generated/proto/envoy/extensions/wasm/v3/wasm_pb.js";
export type { AsyncDataSource, RemoteDataSource } from "#generated/proto/envoy/config/core/v3/base_pb.js";
export type { BackoffStrategy } from "#generated/proto/envoy/config/core/v3/backoff_pb.js";
