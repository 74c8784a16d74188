import { ownField } from "../../../base/index.ts";
import {
  routeUnits,
  type HttpHeaderChanges,
  type HttpMatch,
  type PresenceMatch,
  type StringMatch,
  type VirtualServiceHttpRoute,
} from "../../../api/istio/index.ts";

/**
 * What remains for merging one VirtualService with its delegates. `virtual-service-model.ts` sets the initial values.
 */
export interface MergeBudget {
  /** How many more matches the result may have. A long route counts as several. */
  matches: number;
  /** How many more comparisons of a root's match with a delegate's match are allowed. */
  comparisons: number;
}

/**
 * The routes of a delegate, as many as the budget allows, which is reduced accordingly. The root's matches narrow each
 * route, and the route inherits settings that only the root has. Routes that contradict the root are dropped.
 */
export function mergeDelegate(
  root: VirtualServiceHttpRoute,
  delegates: readonly VirtualServiceHttpRoute[],
  budget: MergeBudget,
): readonly VirtualServiceHttpRoute[] {
  const merged: VirtualServiceHttpRoute[] = [];
  for (const delegate of delegates) {
    budget.comparisons -= Math.max(1, root.match.length) * Math.max(1, delegate.match.length);
    if (budget.comparisons < 0) return merged;
    const match = mergeMatches(root.match, delegate.match);
    if (match === undefined) continue;
    const found: VirtualServiceHttpRoute = {
      ...delegate,
      match,
      name: joinedName(root.name, delegate.name),
      rewrite: delegate.rewrite ?? root.rewrite,
      directResponse: delegate.directResponse ?? root.directResponse,
      timeoutMs: delegate.timeoutMs ?? root.timeoutMs,
      retries: delegate.retries ?? root.retries,
      fault: delegate.fault ?? root.fault,
      mirrors: delegate.mirrors.length === 0 ? root.mirrors : delegate.mirrors,
      corsPolicy: delegate.corsPolicy ?? root.corsPolicy,
      headers: isEmpty(delegate.headers) ? root.headers : delegate.headers,
    };
    budget.matches -= routeUnits({ http: [found], tls: [], tcp: [] });
    if (budget.matches < 0) return merged;
    merged.push(found);
  }
  return merged;
}

function isEmpty({ request, response }: HttpHeaderChanges): boolean {
  return [request, response].every(
    ({ set, add, remove }) => Object.keys(set).length + Object.keys(add).length + remove.length === 0,
  );
}

function joinedName(root: string | undefined, delegate: string | undefined): string | undefined {
  return root === undefined || delegate === undefined ? (delegate ?? root) : `${root}-${delegate}`;
}

/**
 * The matches of a delegate's route, narrowed by those of the root's route. Each must fit into a match of the root; if
 * one does not, the result is undefined.
 */
function mergeMatches(roots: readonly HttpMatch[], delegates: readonly HttpMatch[]): readonly HttpMatch[] | undefined {
  if (roots.length === 0 || delegates.length === 0) return roots.length === 0 ? delegates : roots;
  const merged: HttpMatch[] = [];
  for (const delegate of delegates) {
    const fitting = roots.filter((root) => !contradicts(root, delegate));
    if (fitting.length === 0) return undefined;
    merged.push(...fitting.map((root) => mergeMatch(root, delegate)));
  }
  return merged;
}

function mergeMatch(root: HttpMatch, delegate: HttpMatch): HttpMatch {
  return {
    name: joinedName(root.name, delegate.name),
    uri: delegate.uri ?? root.uri,
    scheme: delegate.scheme ?? root.scheme,
    method: delegate.method ?? root.method,
    authority: delegate.authority ?? root.authority,
    headers: { ...root.headers, ...delegate.headers },
    withoutHeaders: { ...root.withoutHeaders, ...delegate.withoutHeaders },
    queryParams: { ...root.queryParams, ...delegate.queryParams },
    ignoreUriCase: delegate.ignoreUriCase,
    port: delegate.port ?? root.port,
    sourceLabels: { ...root.sourceLabels, ...delegate.sourceLabels },
    sourceNamespace: delegate.sourceNamespace ?? root.sourceNamespace,
    gateways: delegate.gateways.length === 0 ? root.gateways : delegate.gateways,
    statPrefix: delegate.statPrefix ?? root.statPrefix,
  };
}

function contradicts(root: HttpMatch, leaf: HttpMatch): boolean {
  if ((["uri", "scheme", "method", "authority"] as const).some((part) => stringsContradict(root[part], leaf[part])))
    return true;
  if (
    (["headers", "withoutHeaders", "queryParams"] as const).some((part) =>
      Object.entries(leaf[part]).some(([name, match]) => stringsContradict(ownField(root[part], name), match)),
    )
  )
    return true;
  if (root.ignoreUriCase !== leaf.ignoreUriCase) return true;
  if (root.port !== undefined && leaf.port !== undefined && root.port !== leaf.port) return true;
  if (root.sourceNamespace !== undefined && leaf.sourceNamespace !== root.sourceNamespace) return true;
  if (Object.entries(leaf.sourceLabels).some(([name, value]) => (ownField(root.sourceLabels, name) ?? value) !== value))
    return true;
  return root.gateways.length > 0 && leaf.gateways.some((gateway) => !root.gateways.includes(gateway));
}

/**
 * Whether the delegate's match allows a value that the root's match excludes. A regular expression never counts as
 * contained in another match.
 */
function stringsContradict(root: PresenceMatch | undefined, leaf: PresenceMatch | undefined): boolean {
  if (root === undefined || leaf === undefined) return false;
  if (root.kind === "present" || leaf.kind === "present") return true;
  if (root.kind === "regex" || leaf.kind === "regex") return true;
  return !isPart(root, leaf);
}

function isPart(root: StringMatch, leaf: StringMatch): boolean {
  return root.kind === "exact" ? leaf.kind === "exact" && leaf.value === root.value : leaf.value.startsWith(root.value);
}
