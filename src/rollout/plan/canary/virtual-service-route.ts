import { treesOf, treeOf, type Tree } from "../../../base/index.ts";
import type { TrafficMatch, ValueMatch } from "../../../api/serin/index.ts";
import { byLetter, cookieExpression, intersectPaths, type PathPattern } from "./paths.ts";
import { targetError } from "./target-error.ts";
import {
  canaryRules,
  onlyCanaries,
  setCookieValue,
  splitBackends,
  type Affinity,
  type Pairing,
  type Traffic,
} from "./traffic.ts";

/**
 * Computes a VirtualService's list of http, tcp or tls routes for the given traffic. A route without a pairing stays
 * unchanged. `title` names the VirtualService in errors.
 */
export function virtualServiceRoutes(
  original: readonly Tree[],
  protocol: "http" | "tcp" | "tls",
  pairingOf: (index: number) => Pairing | undefined,
  traffic: Traffic,
  title: string,
): Tree[] {
  return original.flatMap((route, index) => {
    const pairing = pairingOf(index);
    if (pairing === undefined) return [route];
    const place = `${title} ${protocol} route ${typeof route["name"] === "string" ? route["name"] : index}`;
    return protocol === "http" ? movedHttp(route, pairing, traffic, place) : movedL4(route, pairing, traffic);
  });
}

/** Of a step's match, a TCP or TLS route can express only the labels of the client. */
function movedL4(route: Tree, pairing: Pairing, { weight, matches }: Traffic): Tree[] {
  const backends = treesOf(route["route"]);
  const special = matches.map(({ sourceLabels }) => ({
    ...route,
    match: orEmpty(route["match"]).map((match) => ({
      ...match,
      sourceLabels: { ...treeOf(match["sourceLabels"]), ...sourceLabels },
    })),
    route: onlyCanaries(backends, pairing),
  }));
  return [...special, { ...route, route: splitBackends(backends, pairing, weight) }];
}

function movedHttp(route: Tree, pairing: Pairing, traffic: Traffic, title: string): Tree[] {
  const backends = treesOf(route["route"]);
  const special = canaryRules(traffic, (match) => ({
    ...route,
    match: withMatch(route["match"], match, title),
    route: onlyCanaries(backends, pairing),
  }));
  const { affinity } = traffic;
  const dress = (backend: Tree): Tree => (affinity === undefined ? backend : withCookie(backend, affinity));
  const main = { ...route, route: splitBackends(backends, pairing, traffic.weight, dress) };
  return [...special, withMirrors(main, backends, pairing, traffic, title)];
}

function withMirrors(
  route: Tree,
  backends: readonly Tree[],
  pairing: Pairing,
  { mirrors }: Traffic,
  title: string,
): Tree {
  const stable = backends.find((backend) => pairing.isStable(backend));
  const added = mirrors.flatMap(({ to, percent }) => {
    const backend = stable === undefined ? undefined : pairing.mirrorOf(stable, to);
    return backend === undefined ? [] : [{ destination: backend["destination"], percentage: { value: percent } }];
  });
  const [only, ...more] = added;
  if (only === undefined) return route;
  if (route["mirror"] !== undefined) {
    throw targetError(
      "target-taken",
      `${title} mirrors requests already (field mirror)`,
      "write it as an entry of mirrors, which may have several, or leave mirror out of the step",
    );
  }
  const own = treesOf(route["mirrors"]);
  if (own.length === 0 && more.length === 0)
    return { ...route, mirror: only.destination, mirrorPercentage: only.percentage };
  return { ...route, mirrors: [...own, ...added] };
}

function withCookie(backend: Tree, affinity: Affinity): Tree {
  const headers = treeOf(backend["headers"]);
  const response = treeOf(headers["response"]);
  return {
    ...backend,
    headers: {
      ...headers,
      response: { ...response, add: { ...treeOf(response["add"]), "Set-Cookie": setCookieValue(affinity) } },
    },
  };
}

function withMatch(matches: unknown, wanted: TrafficMatch, title: string): Tree[] {
  const found = orEmpty(matches).flatMap((match) => {
    const paths = wanted.paths.length === 0 ? [undefined] : wanted.paths;
    return paths.flatMap((path) => joined(match, wanted, path, title));
  });
  if (found.length === 0)
    throw targetError(
      "target-missing",
      `${title}: none of the paths of the step's match is among those that it matches`,
      "name paths within the route's own, or another route",
    );
  return found;
}

function orEmpty(matches: unknown): readonly Tree[] {
  const own = treesOf(matches);
  return own.length === 0 ? [{}] : own;
}

const words = { Exact: "exact", Prefix: "prefix", Regex: "regex" } as const;

function joined(match: Tree, wanted: TrafficMatch, path: PathPattern | undefined, title: string): Tree[] {
  const both = intersectPaths(pathOf(match["uri"]), path, byLetter);
  if (both === "none") return [];
  if (both === "unclear")
    throw targetError(
      "target-unclear",
      `${title}: a regular expression of a path cannot be combined with the route's own uri`,
      "use a route with the prefix /, or a match of type Exact or Prefix",
    );
  const cookies: [string, Tree][] =
    wanted.cookies.length === 0 ? [] : [["cookie", { regex: cookieExpression(wanted.cookies) }]];
  const headers = merged(
    treeOf(match["headers"]),
    [...wanted.headers.map((value) => valueMatch(value, true)), ...cookies],
    title,
    "header",
  );
  const queryParams = merged(
    treeOf(match["queryParams"]),
    wanted.queryParams.map((value) => valueMatch(value, false)),
    title,
    "query parameter",
  );
  const sourceLabels = { ...treeOf(match["sourceLabels"]), ...wanted.sourceLabels };
  return [
    {
      ...match,
      ...(both === undefined || path === undefined ? {} : { uri: { [words[both.type]]: both.value } }),
      ...(Object.keys(headers).length === 0 ? {} : { headers }),
      ...(Object.keys(queryParams).length === 0 ? {} : { queryParams }),
      ...(Object.keys(sourceLabels).length === 0 ? {} : { sourceLabels }),
    },
  ];
}

function pathOf(uri: unknown): PathPattern | undefined {
  const { exact, prefix, regex } = treeOf(uri) as { exact?: string; prefix?: string; regex?: string };
  if (exact !== undefined) return { type: "Exact", value: exact };
  if (prefix !== undefined) return { type: "Prefix", value: prefix };
  return regex === undefined ? undefined : { type: "Regex", value: regex };
}

/** A VirtualService needs header names in lower case. */
function valueMatch({ name, type, value }: ValueMatch, header: boolean): [string, Tree] {
  return [header ? name.toLowerCase() : name, { [words[type]]: value }];
}

function merged(own: Tree, added: readonly (readonly [string, Tree])[], title: string, kind: string): Tree {
  const twice = added.find(([name]) => own[name] !== undefined);
  if (twice !== undefined)
    throw targetError(
      "target-unclear",
      `${title} already matches the ${kind} ${twice[0]}, and a match may name it only once`,
      `match another ${kind}`,
    );
  return { ...own, ...Object.fromEntries(added) };
}
