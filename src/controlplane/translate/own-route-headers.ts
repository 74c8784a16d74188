import { create, fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { RouteConfigurationSchema, VirtualHostSchema, type Route, type VirtualHost } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/**
 * Headers that a proxy's own config switches on or off for its routes. Undefined means that the mesh's setting applies.
 */
export interface OwnRouteHeaders {
  /** Whether requests carry their attempt count (`x-envoy-attempt-count`). */
  readonly attemptCount: boolean | undefined;
  /** Whether requests whose host is rewritten carry the former host (`x-forwarded-host`). */
  readonly forwardedHost: boolean | undefined;
}

/**
 * Adapts routes to a proxy whose own config sets such headers. All proxies share the mesh's virtual hosts, so only
 * these few proxies get copies.
 */
export function withOwnHeaders(typeUrl: string, resource: EncodedResource, own: OwnRouteHeaders): EncodedResource {
  const { value } = fromBinary(AnySchema, resource.any);
  switch (typeUrl) {
    case typeUrls.route: {
      const table = fromBinary(RouteConfigurationSchema, value);
      const virtualHosts = table.virtualHosts.map((host) => adapted(host, own));
      return encodeResource(
        RouteConfigurationSchema,
        resource.name,
        create(RouteConfigurationSchema, { ...table, virtualHosts }),
      );
    }
    case typeUrls.virtualHost: {
      const host = adapted(fromBinary(VirtualHostSchema, value), own);
      return encodeResource(VirtualHostSchema, resource.name, host);
    }
    default:
      return resource;
  }
}

function adapted(host: VirtualHost, { attemptCount, forwardedHost }: OwnRouteHeaders): VirtualHost {
  return {
    ...host,
    ...(attemptCount === undefined ? {} : { includeRequestAttemptCount: attemptCount }),
    routes: forwardedHost === undefined ? host.routes : host.routes.map((route) => tellingHost(route, forwardedHost)),
  };
}

function tellingHost(route: Route, appendXForwardedHost: boolean): Route {
  const { action } = route;
  if (action.case !== "route" || action.value.hostRewriteSpecifier.case !== "hostRewriteLiteral") return route;
  return { ...route, action: { case: "route", value: { ...action.value, appendXForwardedHost } } };
}
