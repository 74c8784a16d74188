/**
 * The part of Envoy's API v3 that Serin reads and writes. A ztunnel does not import it, because it costs more to load
 * than the other parts of `wire`.
 */
export * from "./cluster.ts";
export * from "./core.ts";
export * from "./http-filter.ts";
export * from "./listener.ts";
export * from "./route.ts";
export * from "./telemetry.ts";
export { envoyRegistry } from "./envoy-registry.ts";
