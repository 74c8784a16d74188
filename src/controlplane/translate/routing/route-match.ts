import { withoutEnd } from "../../../base/index.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HttpRouteMatch, NamedMatch } from "../../../api/gateway/index.ts";
import type { RouteMatchSchema, StringMatcherSchema } from "../../../wire/envoy/index.ts";
import { exactly, matching } from "../security/security-matcher.ts";

export function routeMatch(match: HttpRouteMatch): MessageInitShape<typeof RouteMatchSchema> {
  const headers = match.headers.map((header) => ({
    name: header.name.toLowerCase(),
    headerMatchSpecifier: { case: "stringMatch" as const, value: stringMatch(header) },
  }));
  if (match.method !== undefined) {
    headers.push({
      name: ":method",
      headerMatchSpecifier: { case: "stringMatch", value: { matchPattern: { case: "exact", value: match.method } } },
    });
  }
  return {
    pathSpecifier: pathSpecifier(match.path),
    // A match of every path does not depend on case. Upstream does the same for a GRPCRoute.
    ...(match.path.value === "" ? {} : { caseSensitive: true }),
    headers,
    queryParameters: match.queryParams.map((parameter) => ({
      name: parameter.name,
      queryParameterMatchSpecifier: { case: "stringMatch" as const, value: stringMatch(parameter) },
    })),
  };
}

function pathSpecifier(
  path: HttpRouteMatch["path"],
): NonNullable<MessageInitShape<typeof RouteMatchSchema>["pathSpecifier"]> {
  switch (path.type) {
    case "Exact":
      return { case: "path", value: path.value };
    case "RegularExpression":
      return { case: "safeRegex", value: { regex: path.value } };
    default: {
      const trimmed = trimmedPrefix(path.value);
      return trimmed === "/" ? { case: "prefix", value: "/" } : { case: "pathSeparatedPrefix", value: trimmed };
    }
  }
}

/** A prefix without trailing slashes: `/a/` means `/a` and everything below it. */
export function trimmedPrefix(value: string): string {
  const trimmed = withoutEnd(value, "/");
  return trimmed === "" ? "/" : trimmed;
}

function stringMatch(match: NamedMatch): MessageInitShape<typeof StringMatcherSchema> {
  return match.type === "Exact" ? exactly(match.value) : matching(match.value);
}

const pathRanks = { Exact: 3, PathPrefix: 2, RegularExpression: 1 } as const;

/** An empty path ranks lowest. Only a GRPCRoute's match without a method has one. */
function pathRank({ type, value }: HttpRouteMatch["path"]): number {
  return value === "" ? 0 : pathRanks[type];
}

/**
 * The Gateway API's order of precedence: by path, by method, by the number of headers, then by the number of query
 * parameters.
 */
export function byPrecedence(left: HttpRouteMatch, right: HttpRouteMatch): number {
  return (
    pathRank(right.path) - pathRank(left.path) ||
    right.path.value.length - left.path.value.length ||
    Number(right.method !== undefined) - Number(left.method !== undefined) ||
    right.headers.length - left.headers.length ||
    right.queryParams.length - left.queryParams.length
  );
}
