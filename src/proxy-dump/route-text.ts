import type { ResourceMetadata, RouteEntry } from "./config-dump.ts";

const maxDomains = 2;

/** At most two of a host's domains, as a text: the shortest forms, without ports. */
export function domainsText(domains: readonly string[]): string {
  if (domains.length <= 1) return domains[0] ?? "";
  const plain = domains.filter((domain) => !domain.includes(":") || (domain.startsWith("[") && domain.endsWith("]")));
  const known = new Set(plain);
  const short = plain.filter(
    (domain) =>
      ![".svc.cluster.local", ".svc"].some((end) => domain.endsWith(end) && known.has(domain.slice(0, -end.length))),
  );
  const more = short.length - maxDomains;
  return `${short.slice(0, maxDomains).join(", ")}${more > 0 ? ` + ${more} more...` : ""}`;
}

/** The condition of a route as a text, such as `/api*`. */
export function matchText({
  prefix,
  path,
  pathSeparatedPrefix,
  safeRegex,
}: NonNullable<RouteEntry["match"]> = {}): string {
  const parts = [
    prefix === undefined || prefix === "" ? "" : `${prefix}*`,
    pathSeparatedPrefix === undefined ? "" : `PathPrefix:${pathSeparatedPrefix}`,
    path ?? "",
    safeRegex === undefined ? "" : `regex ${safeRegex.regex ?? ""}`,
  ];
  return parts.filter((part) => part !== "").join(" ");
}

/**
 * The object that a resource was made from, as `name.namespace`. The metadata has it as
 * `/apis/<group>/<version>/namespaces/<ns>/<kind>/<name>`.
 */
export function managedBy(metadata: ResourceMetadata | undefined): string {
  const path = metadata?.filterMetadata?.istio?.config;
  if (typeof path !== "string") return "";
  const [, , group = "", , , namespace = "", , name = ""] = path.split("/");
  if (group !== "networking.istio.io") return "<unknown>";
  return name === "" ? "" : `${name}.${namespace}`;
}
