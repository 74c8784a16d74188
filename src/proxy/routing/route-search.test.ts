import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { forwardTo, route } from "../testing/harness.ts";
import type { PathCondition } from "./matchers.ts";
import type { RequestView } from "./request-view.ts";
import { RouteSearch } from "./route-search.ts";
import { routeOf, type VirtualHost } from "./route-table.ts";
import type { Route } from "./route.ts";

const requestOf = (path: string, method = "GET"): RequestView => ({ path, method }) as RequestView;

function holds(condition: PathCondition | undefined, path: string): boolean {
  if (condition === undefined) return true;
  return condition.kind === "exact" ? path === condition.text : path.startsWith(condition.text);
}

function routeFor(name: string, path: PathCondition | undefined, more: Partial<Route> = {}): Route {
  return route(forwardTo(name), {
    name,
    matches: (request) => holds(path, request.path),
    ...(path === undefined ? {} : { path }),
    ...more,
  });
}

const hostOf = (routes: readonly Route[], search?: RouteSearch): VirtualHost => ({
  name: "any",
  domains: ["*"],
  routes,
  requireTls: "none",
  ...(search === undefined ? {} : { search }),
});

const paths = fc.array(fc.constantFrom("/a", "/b", "/ab", "/"), { maxLength: 3 }).map((parts) => parts.join(""));
const conditions = fc.record({
  kind: fc.constantFrom("exact" as const, "prefix" as const, "none" as const),
  text: paths,
  forConnect: fc.boolean(),
  matches: fc.integer({ min: 0, max: 9 }),
});

test("the search finds the same route as trying all routes in order", () => {
  fc.assert(
    fc.property(fc.array(conditions, { minLength: 8, maxLength: 40 }), paths, fc.boolean(), (list, path, connect) => {
      const routes = list.map(({ kind, text, forConnect, matches }, index) => {
        const condition = kind === "none" ? undefined : { kind, text };
        // Some routes have other conditions, which do not hold.
        const also = (request: RequestView): boolean => matches > 3 && holds(condition, request.path);
        return routeFor(String(index), condition, { forConnect: forConnect && matches > 7, matches: also });
      });
      const search = RouteSearch.of(routes);
      const request = requestOf(path, connect ? "CONNECT" : "GET");
      assert.equal(routeOf(hostOf(routes, search), request)?.name, routeOf(hostOf(routes), request)?.name);
    }),
    { numRuns: 500 },
  );
});

test("the search tries only the routes whose prefix the path has, among 1,000", () => {
  let tried = 0;
  const routes = Array.from({ length: 1000 }, (_, index) =>
    routeFor(
      String(index),
      { kind: "prefix", text: `/service${index}/` },
      {
        matches: () => {
          tried += 1;
          return true;
        },
      },
    ),
  );
  const found = RouteSearch.of(routes)?.find(requestOf("/service777/items"));
  assert.deepEqual([found?.name, tried], ["777", 1]);
});

test("a short list has no search", () => {
  const routes = Array.from({ length: 7 }, (_, index) => routeFor(String(index), { kind: "exact", text: "/" }));
  assert.equal(RouteSearch.of(routes), undefined);
  assert.equal(RouteSearch.of([...routes, routeFor("any", undefined)]), undefined);
});
