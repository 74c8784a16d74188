import { domainsText, managedBy, matchText, type RouteConfig } from "../../proxy-dump/index.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import type { TableOptions } from "./table-options.ts";

export interface RouteFilter {
  readonly name?: string;
}

/** The routes with the name, or all. Numeric names come first, by their value, then the others in the proxy's order. */
export function filterRoutes(routes: readonly RouteConfig[], { name: wanted }: RouteFilter): readonly RouteConfig[] {
  const rank = ({ name = "" }: RouteConfig): number => (/^\d+$/.test(name) ? Number(name) : Number.MAX_SAFE_INTEGER);
  return routes.filter(({ name }) => wanted === undefined || name === wanted).toSorted((a, b) => rank(a) - rank(b));
}

export function routeTable(
  routes: readonly RouteConfig[],
  { verbose = true, named = false, columns }: TableOptions & { readonly verbose?: boolean },
): string {
  const shown = (name: string): string => (named ? `route/${name}` : name);
  if (!verbose)
    return fittedTable(
      ["NAME", "VIRTUAL HOSTS"],
      routes.map(({ name = "", virtualHosts = [] }) => [shown(name), String(virtualHosts.length)]),
      { columns, gap: 5 },
    );
  const rows = routes.flatMap(({ name = "", virtualHosts = [] }) =>
    virtualHosts.flatMap(({ name: host = "", domains = [], routes: entries = [] }) => {
      const start = [shown(name), host, domainsText(domains)];
      if (entries.length === 0) return [[...start, "/*", "404"]];
      return entries
        .filter(({ route }) => route?.cluster !== passthrough)
        .map(({ match, metadata }) => [...start, matchText(match), managedBy(metadata)]);
    }),
  );
  return fittedTable(["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], rows, { columns, gap: 5 });
}

const passthrough = "PassthroughCluster";
