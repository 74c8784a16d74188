import { isSystemCode, RouteNetlink, type RouteSpec, type RuleSpec } from "../net/index.ts";

/** A route table whose only route makes all addresses local to this network namespace. */
export interface MarkRoutes {
  /** The mark of packets that use the table. */
  readonly mark: number;
  readonly markMask: number;
  readonly table: number;
  readonly priority: number;
}

const families = ["ipv4", "ipv6"] as const;
/**
 * The errors for an address family that is disabled in the kernel. Such a family carries no traffic, so it needs no
 * routes.
 */
const disabledFamily = ["EAFNOSUPPORT", "EOPNOTSUPP", "EACCES"] as const;

/**
 * Keeps packets with a mark in this namespace, whatever their destination is. Does nothing if the routes exist already.
 */
export function addMarkRoutes(routes: MarkRoutes, namespaceFd?: number): void {
  using links = new RouteNetlink(namespaceFd);
  for (const family of families) {
    tolerate(["EEXIST", ...disabledFamily], () => links.addRule(ruleOf(routes, family)));
    tolerate(["EEXIST", ...disabledFamily], () => links.addRoute(routeOf(routes, family)));
  }
}

export function removeMarkRoutes(routes: MarkRoutes, namespaceFd?: number): void {
  using links = new RouteNetlink(namespaceFd);
  for (const family of families) {
    tolerate(["ENOENT", "ESRCH", ...disabledFamily], () => links.deleteRule(ruleOf(routes, family)));
    tolerate(["ENOENT", "ESRCH", ...disabledFamily], () => links.deleteRoute(routeOf(routes, family)));
  }
}

function ruleOf({ mark, markMask, table, priority }: MarkRoutes, family: "ipv4" | "ipv6"): RuleSpec {
  return { family, priority, table, mark, markMask };
}

function routeOf({ table }: MarkRoutes, family: "ipv4" | "ipv6"): RouteSpec {
  return {
    destination: { address: family === "ipv4" ? "0.0.0.0" : "::", prefixLength: 0 },
    type: "local",
    linkIndex: 1,
    table,
  };
}

function tolerate(names: readonly string[], run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!isSystemCode(error, ...names)) throw error;
  }
}
