import type { GrpcRoute, GrpcRouteMatch, HttpRouteMatch } from "../../../api/gateway/index.ts";
import type { GrpcRouteFacts, HttpRouteFacts } from "../facts.ts";

/** Converts a GRPCRoute to an HTTPRoute: services and methods become paths. */
export function asHttpRoute(route: GrpcRouteFacts): HttpRouteFacts {
  return { ...route, spec: { ...route.spec, rules: route.spec.rules.map(asHttpRule) } };
}

function asHttpRule({ matches, ...rule }: GrpcRoute["spec"]["rules"][number]): HttpRouteFacts["spec"]["rules"][number] {
  return { ...rule, matches: matches.length === 0 ? [asHttpMatch({ headers: [] })] : matches.map(asHttpMatch) };
}

function asHttpMatch({ method, headers }: GrpcRouteMatch): HttpRouteMatch {
  return { path: pathOf(method), headers, queryParams: [] };
}

/**
 * The path match of a method. Without a method, it is the empty prefix, which matches every path. As in upstream Istio,
 * it comes after every match by method, even one by a regular expression. The prefix `/` of an HTTPRoute, in contrast,
 * comes before regular expressions.
 */
function pathOf(wanted: GrpcRouteMatch["method"]): HttpRouteMatch["path"] {
  if (wanted === undefined) return { type: "PathPrefix", value: "" };
  const { type, service, method } = wanted;
  if (service === undefined) return { type: "RegularExpression", value: `/[^/]+/${method ?? ""}` };
  if (type === "RegularExpression") return { type, value: `/${service}/${method ?? ".+"}` };
  return method === undefined
    ? { type: "PathPrefix", value: `/${service}/` }
    : { type, value: `/${service}/${method}` };
}
