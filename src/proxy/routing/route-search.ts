import type { RequestView } from "./request-view.ts";
import type { Route } from "./route.ts";

/**
 * A list gets an index from this number of routes with a path condition on. Trying fewer in order costs less than the
 * index's look-ups.
 */
const minIndexedRoutes = 8;

interface PrefixesOfOneLength {
  readonly length: number;
  /** The positions of the routes in ascending order, by the prefix. */
  readonly byPrefix: ReadonlyMap<string, readonly number[]>;
}

/**
 * Finds the first route of a long list that matches a request. It tries only the routes whose path condition holds, and
 * those without one. For each request, it makes one look-up for each different length of a prefix, however many routes
 * there are.
 */
export class RouteSearch {
  readonly #routes: readonly Route[];
  readonly #exact = new Map<string, number[]>();
  /** The prefixes by their length, the shortest first. */
  readonly #prefixes: readonly PrefixesOfOneLength[];
  readonly #others: number[] = [];

  /** Makes an index of the routes. Returns undefined if trying the routes in order is as fast. */
  static of(routes: readonly Route[]): RouteSearch | undefined {
    const indexed = routes.filter((route) => route.path !== undefined);
    return indexed.length < minIndexedRoutes ? undefined : new RouteSearch(routes);
  }

  private constructor(routes: readonly Route[]) {
    this.#routes = routes;
    const prefixes = new Map<number, Map<string, number[]>>();
    for (const [position, { path }] of routes.entries()) {
      if (path === undefined) this.#others.push(position);
      else if (path.kind === "exact") append(this.#exact, path.text, position);
      else {
        const { length } = path.text;
        const byPrefix = prefixes.get(length) ?? new Map<string, number[]>();
        prefixes.set(length, byPrefix);
        append(byPrefix, path.text, position);
      }
    }
    this.#prefixes = [...prefixes]
      .map(([length, byPrefix]) => ({ length, byPrefix }))
      .sort((left, right) => left.length - right.length);
  }

  find(request: RequestView): Route | undefined {
    const { path } = request;
    let first = this.#routes.length;
    if (this.#exact.size > 0) first = this.#firstOf(this.#exact.get(path), request, first);
    for (const { length, byPrefix } of this.#prefixes) {
      if (length > path.length) break;
      first = this.#firstOf(byPrefix.get(path.slice(0, length)), request, first);
    }
    return this.#routes[this.#firstOf(this.#others, request, first)];
  }

  /** The first of these positions, below `limit`, whose route matches. Returns `limit` if there is none. */
  #firstOf(positions: readonly number[] | undefined, request: RequestView, limit: number): number {
    if (positions === undefined) return limit;
    const isConnect = request.method === "CONNECT";
    for (const position of positions) {
      if (position >= limit) break;
      const route = this.#routes[position];
      if (route !== undefined && route.forConnect === isConnect && route.matches(request)) return position;
    }
    return limit;
  }
}

function append(lists: Map<string, number[]>, key: string, position: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [position]);
  else list.push(position);
}
