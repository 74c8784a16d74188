/** Numbers of the Proxy-Wasm ABI, versions 0.1.0 to 0.2.1. */
export const status = {
  ok: 0,
  notFound: 1,
  badArgument: 2,
  serializationFailure: 3,
  parseFailure: 4,
  invalidMemoryAccess: 6,
  empty: 7,
  casMismatch: 8,
  internalFailure: 10,
  unimplemented: 12,
} as const;

export const action = { continue: 0, pause: 1 } as const;

export const buffers = {
  requestBody: 0,
  responseBody: 1,
  callResponseBody: 4,
  vmConfiguration: 6,
  pluginConfiguration: 7,
  callData: 8,
} as const;

export const maxBuffer = 8;

export const maps = {
  requestHeaders: 0,
  requestTrailers: 1,
  responseHeaders: 2,
  responseTrailers: 3,
  callResponseHeaders: 6,
  callResponseTrailers: 7,
} as const;

export const maxMap = 7;

export const streams = { request: 0, response: 1 } as const;

export const metricTypes = { counter: 0, gauge: 1, histogram: 2 } as const;

export const maxLogLevel = 5;

export const wasiErrors = {
  success: 0,
  badFile: 8,
  fault: 21,
  invalid: 28,
  noEntry: 44,
  noSystem: 52,
  notSupported: 58,
} as const;

/** In ascending order. A module exports a function for each version that it was built for. */
export const abiVersions = ["0.1.0", "0.2.0", "0.2.1"] as const;
export type AbiVersion = (typeof abiVersions)[number];

export function abiVersionOf(exported: ReadonlySet<string>): AbiVersion | undefined {
  return abiVersions.findLast((version) => exported.has(`proxy_abi_version_${version.replaceAll(".", "_")}`));
}
