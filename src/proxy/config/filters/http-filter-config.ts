import { isFieldSet, type Message } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { standardStats, type StatsRules } from "../../record/stats-rules.ts";
import {
  RouterSchema,
  type Compressor,
  type CsrfPolicy,
  type Decompressor,
  type ExtAuthz,
  type GrpcStatsConfig,
  type HTTPFault,
  type HttpBuffer,
  type HttpFilter as HttpFilterMessage,
  type HttpHeaderMutation,
  type HttpHealthCheck,
  type HttpRateLimit,
  type HttpRbac,
  type HttpSetFilterState,
  type IstioStatsConfig,
  type JwtAuthentication,
  type LocalRateLimit,
  type Lua,
  type Router,
  type StatefulSession,
} from "../../../wire/envoy/index.ts";
import { BufferFilter } from "../../filters/buffer-filter.ts";
import { CompressorFilter } from "../../filters/compression/compressor-filter.ts";
import { CsrfFilter } from "../../filters/csrf-filter.ts";
import { DecompressorFilter } from "../../filters/compression/decompressor-filter.ts";
import { ExtAuthzFilter } from "../../filters/authorization/ext-authz-filter.ts";
import { GrpcWebFilter } from "../../filters/grpc-web-filter.ts";
import { LazyWasmFilter } from "../../filters/lazy-wasm-filter.ts";
import { FaultFilter } from "../../filters/fault-filter.ts";
import { HealthCheckFilter } from "../../filters/health-check-filter.ts";
import type { HttpFilter } from "../../filters/http-filter.ts";
import { JwtAuthnFilter } from "../../filters/jwt/jwt-authn-filter.ts";
import { LocalRateLimitFilter } from "../../filters/rate-limit/local-rate-limit-filter.ts";
import { LuaFilter } from "../../filters/lua-filter.ts";
import { RateLimitFilter } from "../../filters/rate-limit/rate-limit-filter.ts";
import { RbacFilter } from "../../filters/authorization/rbac-filter.ts";
import { MissingFilter, SwitchedFilter } from "../../filters/route-switch.ts";
import { StatefulSessionFilter } from "../../filters/stateful-session-filter.ts";
import type { PeerMetadataExchange } from "../../http/http-connection-config.ts";
import { compileBuffer } from "./buffer-config.ts";
import { compileCompressor } from "./compressor-config.ts";
import { unsupported, type ConfigNotes } from "../config-check.ts";
import { compileCsrf } from "./csrf-config.ts";
import { compileDecompressor } from "./decompressor-config.ts";
import { compileDiscovered } from "./discovered-filter-config.ts";
import { compileExtAuthz } from "./ext-authz-config.ts";
import { compileFault } from "./fault-config.ts";
import { tellFilterState } from "./filter-state-config.ts";
import { compileHeaderMutation } from "./header-mutation-filter-config.ts";
import { compileHealthCheck } from "./health-check-config.ts";
import { compileJwtAuthn } from "./jwt-authn-config.ts";
import { compileLocalRateLimit } from "./local-rate-limit-config.ts";
import { compileLua } from "./lua-config.ts";
import { compileHttpExchange, joinHttpExchanges, noHttpExchange } from "../peer-metadata-config.ts";
import { compileRateLimit } from "./rate-limit-service-config.ts";
import { compileHttpRbac } from "./rbac-config.ts";
import { compileStatefulSession } from "./stateful-session-config.ts";
import { compileStats } from "./stats-config.ts";
import { resolveTypedStruct, typeNameOf, unpack } from "../typed-struct.ts";
import { compileWasm, readWasm, readWasmStruct, wasmType } from "./wasm-config.ts";

export interface HttpFilters {
  readonly filters: readonly HttpFilter[];
  readonly peerMetadata: PeerMetadataExchange;
  /** The metrics to count. Undefined without a filter that counts. */
  readonly stats: StatsRules | undefined;
  /** Whether the proxy omits the `x-envoy-` headers that describe its work. */
  readonly hidesEnvoyHeaders: boolean;
}

const routerType = "envoy.extensions.filters.http.router.v3.Router";

/**
 * The types of filters that have nothing to do here: they only observe, or another part of the proxy always does their
 * work.
 */
const passiveTypes = new Set([
  routerType,
  "envoy.extensions.filters.http.cors.v3.Cors",
  // The code that chooses the cluster resolves the requested names.
  "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
  "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
]);

/** The prefix of the names that control planes give to the plugins of WasmPlugins and TrafficExtensions. */
const pluginPrefix = "extensions.istio.io/trafficextension/";

/**
 * Compiles the filters in their order. Throws an error that names a filter that cannot be served. `statPrefix` ends in
 * a dot.
 */
export function compileHttpFilters(
  messages: readonly HttpFilterMessage[],
  statPrefix: string,
  where: string,
  notes: ConfigNotes,
): HttpFilters {
  const filters: HttpFilter[] = [];
  let stats: StatsRules | undefined;
  let peerMetadata = noHttpExchange;
  let hidesEnvoyHeaders = false;
  for (const message of messages) {
    const here = `${where}: the HTTP filter ${message.name}`;
    if (message.configType.case === "configDiscovery") {
      const compile = (any: Any, at: string) =>
        compileFilter(message, resolveTypedStruct(any, at), statPrefix, at, notes);
      const filter = compileDiscovered(message.name, message.configType.value, compile, here, notes);
      filters.push(new SwitchedFilter(filter, !message.disabled));
      continue;
    }
    const any = message.configType.value && resolveTypedStruct(message.configType.value, here);
    if (any !== undefined && typeNameOf(any) === routerType)
      hidesEnvoyHeaders = readRouter(unpack(any, here) as Router, here, notes);
    const metadata = any === undefined ? undefined : compileHttpExchange(any);
    if (metadata !== undefined) {
      peerMetadata = joinHttpExchanges(peerMetadata, metadata);
      continue;
    }
    const counts = message.disabled ? undefined : statsOf(message.name, any, here, notes);
    if (counts !== undefined) {
      stats = counts;
      continue;
    }
    const filter =
      any === undefined ? compileByName(message, where) : compileFilter(message, any, statPrefix, here, notes);
    if (filter === "unknown") {
      if (!message.isOptional && !message.disabled) throw unsupported(where, `the HTTP filter ${message.name}`);
      notes.ignored(`the ${message.isOptional ? "optional" : "disabled"} HTTP filter ${message.name}`);
      if (!message.isOptional) filters.push(new SwitchedFilter(new MissingFilter(message.name), false));
    } else if (filter !== undefined) filters.push(new SwitchedFilter(filter, !message.disabled));
  }
  return { filters, peerMetadata, stats, hidesEnvoyHeaders };
}

/**
 * The router's fields that need no report: other parts of the proxy act on them, or they concern statistics that do not
 * exist here.
 */
const quietFields = new Set([
  "suppressEnvoyHeaders",
  "startChildSpan",
  "dynamicStats",
  "suppressGrpcRequestFailureCodeStats",
  "rejectConnectRequestEarlyData",
]);

/** Checks the router's configuration. Returns whether the router suppresses the headers that describe its work. */
function readRouter(message: Router, where: string, notes: ConfigNotes): boolean {
  for (const field of RouterSchema.fields)
    if (isFieldSet(message, field) && !quietFields.has(field.localName)) notes.ignored(`${where}: ${field.localName}`);
  return message.suppressEnvoyHeaders;
}

/** Checks a configuration that no filter uses yet. Throws if it cannot be served. */
export function checkExtensionConfig(name: string, any: Any, notes: ConfigNotes): void {
  const where = `the configuration of the HTTP filter ${name}`;
  const wasm = wasmOf(any);
  // Only check the module's settings, because creating the filter would start the module.
  if (wasm !== undefined) compileWasm(wasm, where, notes);
  else if (compileFilter({ name, isOptional: false }, resolveTypedStruct(any, where), "", where, notes) === "unknown")
    throw unsupported(where, any.typeUrl);
}

/** Names of filters that may have no configuration, which means their defaults. */
const passiveNames = new Set([
  "envoy.filters.http.router",
  "envoy.filters.http.cors",
  "envoy.filters.http.grpc_stats",
  "envoy.filters.http.fault",
  "istio.stats",
  "istio.alpn",
]);

function compileByName(message: HttpFilterMessage, where: string): undefined {
  if (passiveNames.has(message.name) || message.disabled) return undefined;
  throw unsupported(where, `the HTTP filter ${message.name} without a configuration`);
}

function compileFilter(
  { name, isOptional }: Pick<HttpFilterMessage, "name" | "isOptional">,
  any: Any,
  statPrefix: string,
  where: string,
  notes: ConfigNotes,
): HttpFilter | undefined | "unknown" {
  const { services } = notes;
  if (passiveTypes.has(typeNameOf(any))) return undefined;
  const wasm = wasmOf(any);
  if (wasm !== undefined) return new LazyWasmFilter(name, compileWasm(wasm, where, notes), services.modules);
  const message = unpack(any, where);
  switch (message?.$typeName) {
    case "envoy.extensions.filters.http.fault.v3.HTTPFault":
      return new FaultFilter(name, compileFault(message as HTTPFault, where, notes), services, statPrefix);
    case "envoy.extensions.filters.http.lua.v3.Lua": {
      const lua = message as Lua;
      const prefix = `${statPrefix}lua.${lua.statPrefix === "" ? "" : `${lua.statPrefix}.`}`;
      const errors = services.statistics.counter(`${prefix}errors`);
      // Serin's control plane marks the scripts of services at a waypoint as optional, because other services may share
      // the listener.
      const mayFail = isOptional && name.startsWith(pluginPrefix);
      return new LuaFilter(name, compileLua(lua, where, notes, mayFail), services.scripts, errors);
    }
    case "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit":
      return new LocalRateLimitFilter(name, compileLocalRateLimit(message as LocalRateLimit, where, notes), services);
    case "envoy.extensions.filters.http.ratelimit.v3.RateLimit":
      return new RateLimitFilter(name, compileRateLimit(message as HttpRateLimit, where, notes), services);
    case "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation":
      return compileHeaderMutation(name, message as HttpHeaderMutation, where, notes);
    case "envoy.extensions.filters.http.buffer.v3.Buffer":
      return new BufferFilter(name, compileBuffer(message as HttpBuffer, where, notes));
    case "envoy.extensions.filters.http.compressor.v3.Compressor": {
      const settings = compileCompressor(message as Compressor, where, notes);
      return new CompressorFilter(name, settings, services.statistics, statPrefix);
    }
    case "envoy.extensions.filters.http.decompressor.v3.Decompressor": {
      const settings = compileDecompressor(message as Decompressor, where, notes);
      return new DecompressorFilter(name, settings, services.statistics, statPrefix);
    }
    case "envoy.extensions.filters.http.health_check.v3.HealthCheck":
      return new HealthCheckFilter(
        name,
        compileHealthCheck(message as HttpHealthCheck, where, notes),
        services,
        statPrefix,
      );
    case "envoy.extensions.filters.http.stateful_session.v3.StatefulSession":
      return new StatefulSessionFilter(name, compileStatefulSession(message as StatefulSession, where, notes));
    case "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb":
      return new GrpcWebFilter(name);
    case "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig":
      tellGrpcStats(message as GrpcStatsConfig, notes);
      return undefined;
    case "envoy.extensions.filters.http.set_filter_state.v3.Config":
      tellFilterState((message as HttpSetFilterState).onRequestHeaders, notes);
      return undefined;
    case "stats.PluginConfig":
      return undefined;
    default:
      return message === undefined ? "unknown" : compileGuard(name, message, statPrefix, where, notes);
  }
}

function compileGuard(
  name: string,
  message: Message,
  statPrefix: string,
  where: string,
  notes: ConfigNotes,
): HttpFilter | "unknown" {
  const { services } = notes;
  switch (message.$typeName) {
    case "envoy.extensions.filters.http.rbac.v3.RBAC":
      if (name.startsWith(pluginPrefix))
        notes.tell(`${where} replaces a program that cannot run here: it refuses all requests, as set by failStrategy`);
      return new RbacFilter(name, compileHttpRbac(message as HttpRbac, where, notes), services, statPrefix);
    case "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication":
      return new JwtAuthnFilter(
        name,
        compileJwtAuthn(message as JwtAuthentication, where, notes),
        services.statistics,
        statPrefix,
      );
    case "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz":
      return new ExtAuthzFilter(
        name,
        compileExtAuthz(message as ExtAuthz, where, notes),
        services.statistics,
        statPrefix,
      );
    case "envoy.extensions.filters.http.csrf.v3.CsrfPolicy":
      return new CsrfFilter(name, compileCsrf(message as CsrfPolicy, where, notes), services, statPrefix);
    default:
      return "unknown";
  }
}

function wasmOf(any: Any): ReturnType<typeof readWasm> | undefined {
  if (typeNameOf(any) === wasmType) return readWasm(any);
  return readWasmStruct(any);
}

const allowlistField = 2;

/** Reports that Envoy's own gRPC metrics by method do not exist here. Istio's metrics do count gRPC messages. */
function tellGrpcStats(message: GrpcStatsConfig, notes: ConfigNotes): void {
  const { perMethodStatSpecifier: methods, enableUpstreamStats } = message;
  if (methods.case === "statsForAllMethods" && methods.value.value)
    notes.ignored("envoy.filters.http.grpc_stats: statsForAllMethods");
  if (enableUpstreamStats) notes.ignored("envoy.filters.http.grpc_stats: enableUpstreamStats");
  // The generated type lacks this field, so look it up among the unknown ones.
  if (message.$unknown?.some(({ no }) => no === allowlistField) === true)
    notes.ignored("envoy.filters.http.grpc_stats: individualMethodStatsAllowlist");
}

/** The metrics of a filter that counts Istio's metrics. Undefined for any other filter. */
export function statsOf(name: string, any: Any | undefined, where: string, notes: ConfigNotes): StatsRules | undefined {
  if (any === undefined) return name === "istio.stats" ? standardStats : undefined;
  return typeNameOf(any) === "stats.PluginConfig"
    ? compileStats(unpack(any, where) as IstioStatsConfig, notes)
    : undefined;
}
