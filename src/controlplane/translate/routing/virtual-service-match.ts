import type { MessageInitShape } from "@bufbuild/protobuf";
import { namesInBrackets, type HttpMatch, type PresenceMatch, type StringMatch } from "../../../api/istio/index.ts";
import type {
  HeaderMatcherSchema,
  QueryParameterMatcherSchema,
  RouteMatchSchema,
  StringMatcherSchema,
} from "../../../wire/envoy/index.ts";
import { compareText, type Labels } from "../../model/facts.ts";

type RouteMatchInit = Exclude<MessageInitShape<typeof RouteMatchSchema>, { $typeName: string }>;
type StringMatcherInit = Exclude<MessageInitShape<typeof StringMatcherSchema>, { $typeName: string }>;
type HeaderMatcherInit = Exclude<MessageInitShape<typeof HeaderMatcherSchema>, { $typeName: string }>;
type MetadataMatcherInit = NonNullable<RouteMatchInit["dynamicMetadata"]>[number];

export interface MatchClient {
  readonly namespace: string;
  readonly labels: Labels;
  /** The gateway that these routes are for, or `mesh`. */
  readonly gateway: string;
}

/**
 * Whether a match can apply to the client, by what is known in advance: the gateways or, if the match names none, the
 * client's labels and namespace.
 */
export function concernsClient(
  match: Pick<HttpMatch, "gateways" | "sourceLabels" | "sourceNamespace">,
  client: MatchClient,
): boolean {
  if (match.gateways.length > 0) return match.gateways.includes(client.gateway);
  if (!Object.entries(match.sourceLabels).every(([name, value]) => client.labels[name] === value)) return false;
  return match.sourceNamespace === undefined || match.sourceNamespace === client.namespace;
}

/** The route match of a VirtualService's match. Without a match, the route matches every request. */
export function httpRouteMatch(match: HttpMatch | undefined): RouteMatchInit {
  if (match === undefined) return { pathSpecifier: { case: "prefix", value: "/" } };
  const plain = [
    ...Object.entries(match.headers)
      .filter(([name]) => claimsOf(name) === undefined)
      .map(([name, wanted]) => headerMatch(name, wanted)),
    ...Object.entries(match.withoutHeaders)
      .filter(([name]) => claimsOf(name) === undefined)
      .map(([name, wanted]) => headerAbsence(name, wanted)),
  ].sort((left, right) => compareText(left.name ?? "", right.name ?? ""));
  const pseudo = [
    [":method", match.method],
    [":authority", match.authority],
    [":scheme", match.scheme],
  ] as const;
  return {
    pathSpecifier: pathSpecifier(match.uri),
    caseSensitive: !match.ignoreUriCase,
    headers: [...plain, ...pseudo.flatMap(([name, wanted]) => (wanted === undefined ? [] : headerMatch(name, wanted)))],
    queryParameters: Object.entries(match.queryParams).map(([name, wanted]) => queryMatch(name, wanted)),
    dynamicMetadata: [...claimMatches(match.headers, false), ...claimMatches(match.withoutHeaders, true)],
  };
}

function pathSpecifier(uri: StringMatch | undefined): NonNullable<RouteMatchInit["pathSpecifier"]> {
  switch (uri?.kind) {
    case "exact":
      return { case: "path", value: uri.value };
    case "regex":
      return { case: "safeRegex", value: { regex: uri.value } };
    default:
      return { case: "prefix", value: uri?.value ?? "/" };
  }
}

/** Whether the match covers every request, so that no later route can be reached. */
export function isCatchAll(given: MessageInitShape<typeof RouteMatchSchema>): boolean {
  const match = given as RouteMatchInit;
  const { pathSpecifier: path } = match;
  const anyPath =
    (path?.case === "prefix" || path?.case === "pathSeparatedPrefix" ? path.value === "/" : false) ||
    (path?.case === "safeRegex" && path.value.regex === ".*");
  return (
    anyPath &&
    (match.headers ?? []).length + (match.queryParameters ?? []).length + (match.dynamicMetadata ?? []).length === 0
  );
}

export function stringMatcher({ kind, value }: StringMatch): StringMatcherInit {
  return { matchPattern: kind === "regex" ? { case: "safeRegex", value: { regex: value } } : { case: kind, value } };
}

/** Whether only the presence of the header is required. In Istio, the regular expression `*` has always meant that. */
function requiresPresence(wanted: PresenceMatch): wanted is { readonly kind: "present" } {
  return wanted.kind === "present" || (wanted.kind === "regex" && wanted.value === "*");
}

function headerMatch(name: string, wanted: PresenceMatch): HeaderMatcherInit {
  if (requiresPresence(wanted)) return { name, headerMatchSpecifier: { case: "presentMatch", value: true } };
  return { name, headerMatchSpecifier: { case: "stringMatch", value: stringMatcher(wanted) } };
}

function headerAbsence(name: string, wanted: PresenceMatch): HeaderMatcherInit {
  return {
    ...headerMatch(name, wanted),
    invertMatch: true,
    ...(requiresPresence(wanted) ? {} : { treatMissingHeaderAsEmpty: true }),
  };
}

function queryMatch(name: string, wanted: PresenceMatch): MessageInitShape<typeof QueryParameterMatcherSchema> {
  if (requiresPresence(wanted)) return { name, queryParameterMatchSpecifier: { case: "presentMatch", value: true } };
  return { name, queryParameterMatchSpecifier: { case: "stringMatch", value: stringMatcher(wanted) } };
}

const claimPrefix = "@request.auth.claims";

/** Parses `@request.auth.claims.group.id` or `…claims[group][id]`, the path of a claim in the verified token. */
function claimsOf(header: string): readonly string[] | undefined {
  if (!header.startsWith(claimPrefix)) return undefined;
  const rest = header.slice(claimPrefix.length);
  if (rest.startsWith("[")) return namesInBrackets(rest).filter((name) => name !== "");
  return rest.startsWith(".") ? rest.slice(1).split(".") : undefined;
}

function claimMatches(headers: HttpMatch["headers"], invert: boolean): MetadataMatcherInit[] {
  return Object.entries(headers).flatMap(([name, wanted]) => {
    const claims = claimsOf(name);
    if (claims === undefined) return [];
    const text = requiresPresence(wanted)
      ? { matchPattern: { case: "safeRegex" as const, value: { regex: ".*" } } }
      : stringMatcher(wanted);
    const single = { matchPattern: { case: "stringMatch" as const, value: text } };
    const listed = {
      matchPattern: { case: "listMatch" as const, value: { matchPattern: { case: "oneOf" as const, value: single } } },
    };
    return {
      filter: "envoy.filters.http.jwt_authn",
      path: ["payload", ...claims].map((key) => ({ segment: { case: "key" as const, value: key } })),
      value: { matchPattern: { case: "orMatch" as const, value: { valueMatchers: [listed, single] } } },
      invert,
    };
  });
}
