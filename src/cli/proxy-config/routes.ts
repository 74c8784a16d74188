import { renderTable } from "../table.ts";
import { managedBy } from "./clusters.ts";
import type { RouteConfig, RouteEntry } from "./config-dump.ts";

export interface RouteFilter {
  readonly name?: string;
}

/** Numbers first, in their order; then names as the proxy lists them. */
export function filterRoutes(routes: readonly RouteConfig[], { name: wanted }: RouteFilter): readonly RouteConfig[] {
  const rank = ({ name = "" }: RouteConfig): number => (/^\d+$/.test(name) ? Number(name) : Number.MAX_SAFE_INTEGER);
  return routes.filter(({ name }) => wanted === undefined || name === wanted).toSorted((a, b) => rank(a) - rank(b));
}

export function routeTable(routes: readonly RouteConfig[], { verbose = true, named = false }: { readonly verbose?: boolean; readonly named?: boolean }): string {
  const shown = (name: string): string => (named ? `route/${name}` : name);
  if (!verbose) return renderTable(["NAME", "VIRTUAL HOSTS"], routes.map(({ name = "", virtualHosts = [] }) => [shown(name), String(virtualHosts.length)]), 5);
  const rows = routes.flatMap(({ name = "", virtualHosts = [] }) =>
    virtualHosts.flatMap(({ name: host = "", domains = [], routes: entries = [] }) => {
      const start = [shown(name), host, domainsText(domains)];
      if (entries.length === 0) return [[...start, "/*", "404"]];
      return entries.filter(({ route }) => route?.cluster !== passthrough).map(({ match, metadata }) => [...start, matchText(match), managedBy(metadata)]);
    }),
  );
  return renderTable(["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], rows, 5);
}

const passthrough = "PassthroughCluster";
const maxDomains = 2;

/** The shortest forms of a host, without its ports; at most two. */
function domainsText(domains: readonly string[]): string {
  if (domains.length <= 1) return domains[0] ?? "";
  const plain = domains.filter((domain) => !domain.includes(":") || (domain.startsWith("[") && domain.endsWith("]")));
  const known = new Set(plain);
  const short = plain.filter((domain) => ![".svc.cluster.local", ".svc"].some((end) => domain.endsWith(end) && known.has(domain.slice(0, -end.length))));
  const more = short.length - maxDomains;
  return `${short.slice(0, maxDomains).join(", ")}${more > 0 ? ` + ${more} more...` : ""}`;
}

export function matchText({ prefix, path, pathSeparatedPrefix, safeRegex }: NonNullable<RouteEntry["match"]> = {}): string {
  const parts = [
    prefix === undefined || prefix === "" ? "" : `${prefix}*`,
    pathSeparatedPrefix === undefined ? "" : `PathPrefix:${pathSeparatedPrefix}`,
    path ?? "",
    safeRegex === undefined ? "" : `regex ${safeRegex.regex ?? ""}`,
  ];
  return parts.filter((part) => part !== "").join(" ");
}
