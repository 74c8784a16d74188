import type { Any } from "@bufbuild/protobuf/wkt";
import type {
  BufferPerRoute,
  CompressorPerRoute,
  CorsPolicy as CorsPolicyMessage,
  CsrfPolicy,
  ExtAuthzPerRoute,
  HeaderMutationPerRoute,
  HTTPFault,
  HttpRateLimitPerRoute,
  HttpRbacPerRoute,
  JwtPerRouteConfig,
  LocalRateLimit,
  LuaPerRoute,
  RouteFilterConfig,
  StatefulSessionPerRoute,
} from "../../../wire/envoy/index.ts";
import { RouteChanges } from "../../filters/header-mutation-filter.ts";
import { filterOff, filterOn } from "../../filters/route-switch.ts";
import type { CorsPolicy } from "../../routing/cors.ts";
import { compileBufferPerRoute } from "./buffer-config.ts";
import { compileCompressorPerRoute } from "./compressor-config.ts";
import { unsupported, type ConfigNotes } from "../config-check.ts";
import { compileCors } from "./cors-config.ts";
import { compileCsrf } from "./csrf-config.ts";
import { compileExtAuthzPerRoute } from "./ext-authz-config.ts";
import { compileFault } from "./fault-config.ts";
import { compileHeaderMutationPerRoute } from "./header-mutation-filter-config.ts";
import { compileJwtPerRoute } from "./jwt-authn-config.ts";
import { compileLocalRateLimitPerRoute } from "./local-rate-limit-config.ts";
import { compileLuaPerRoute } from "./lua-config.ts";
import { compileRateLimitPerRoute } from "./rate-limit-service-config.ts";
import { compileHttpRbacPerRoute } from "./rbac-config.ts";
import { compileStatefulSessionPerRoute } from "./stateful-session-config.ts";
import { resolveTypedStruct, typeNameOf, unpack } from "../typed-struct.ts";

/** The configuration of a route, a virtual host or a table for filters, including its CORS policy. */
export interface FilterOverrides {
  readonly configs: ReadonlyMap<string, object>;
  readonly cors: CorsPolicy | undefined;
}

const corsType = "envoy.extensions.filters.http.cors.v3.CorsPolicy";

/**
 * Compiles the filter configurations of a table, virtual host or route. They override those of the more general level,
 * filter by filter. Changes of headers are the exception: those of all levels are combined.
 */
export function compileFilterOverrides(
  messages: Readonly<Record<string, Any>>,
  general: FilterOverrides,
  where: string,
  notes: ConfigNotes,
): FilterOverrides {
  const names = Object.entries(messages);
  if (names.length === 0) return general;
  const configs = new Map(general.configs);
  let { cors } = general;
  const set = (name: string, own: object): void => {
    const before = configs.get(name);
    configs.set(name, before instanceof RouteChanges ? before.with(own) : own);
  };
  for (const [name, any] of names) {
    const here = `${where}: typedPerFilterConfig ${name}`;
    const unwrapped = unwrap(any, here);
    if (unwrapped.disabled) {
      if (name === "envoy.filters.http.cors") cors = undefined;
      set(name, filterOff);
    } else if (unwrapped.config === undefined) set(name, filterOn);
    else if (typeNameOf(unwrapped.config) === corsType)
      cors = compileCors(unpack(unwrapped.config, here) as CorsPolicyMessage, here, notes);
    else {
      const config = compileOverride(unwrapped.config, here, notes);
      if (config !== undefined) set(name, config);
      else if (unwrapped.optional) notes.ignored(here);
      else throw unsupported(where, `typedPerFilterConfig ${name}`);
    }
  }
  return { configs, cors };
}

export const noOverrides: FilterOverrides = { configs: new Map(), cors: undefined };

function unwrap(
  any: Any,
  where: string,
): {
  readonly config: Any | undefined;
  readonly disabled: boolean;
  readonly optional: boolean;
} {
  const config = resolveTypedStruct(any, where);
  if (typeNameOf(config) !== "envoy.config.route.v3.FilterConfig") return { config, disabled: false, optional: false };
  const message = unpack(config, where) as RouteFilterConfig;
  return {
    config: message.config && resolveTypedStruct(message.config, where),
    disabled: message.disabled,
    optional: message.isOptional,
  };
}

function compileOverride(any: Any, where: string, notes: ConfigNotes): object | undefined {
  const message = unpack(any, where);
  switch (message?.$typeName) {
    case "envoy.extensions.filters.http.rbac.v3.RBACPerRoute":
      return compileHttpRbacPerRoute(message as HttpRbacPerRoute, where, notes);
    case "envoy.extensions.filters.http.fault.v3.HTTPFault":
      return compileFault(message as HTTPFault, where, notes);
    case "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig":
      return compileJwtPerRoute(message as JwtPerRouteConfig, where, notes);
    case "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute":
      return compileExtAuthzPerRoute(message as ExtAuthzPerRoute, where, notes);
    case "envoy.extensions.filters.http.lua.v3.LuaPerRoute":
      return compileLuaPerRoute(message as LuaPerRoute, where, notes);
    case "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit":
      return compileLocalRateLimitPerRoute(message as LocalRateLimit, where, notes);
    case "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute":
      return compileRateLimitPerRoute(message as HttpRateLimitPerRoute, where, notes);
    case "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute":
      return compileHeaderMutationPerRoute(message as HeaderMutationPerRoute, where, notes);
    case "envoy.extensions.filters.http.buffer.v3.BufferPerRoute":
      return compileBufferPerRoute(message as BufferPerRoute, where, notes);
    case "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute":
      return compileCompressorPerRoute(message as CompressorPerRoute, where, notes);
    case "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute":
      return compileStatefulSessionPerRoute(message as StatefulSessionPerRoute, where, notes);
    case "envoy.extensions.filters.http.csrf.v3.CsrfPolicy":
      return compileCsrf(message as CsrfPolicy, where, notes);
    default:
      return undefined;
  }
}
