import { hostCovers, isWildcard } from "../../../api/istio/index.ts";
import { isAddress } from "../ip-address.ts";

/** Wildcards that can be found by a host without comparing each of them. */
export interface WildcardSet {
  readonly all: ReadonlySet<string>;
  /** Wildcards for a part of a label, such as `*foo.example.org`. They are rare. */
  readonly partial: readonly string[];
}

export function wildcardSet(wildcards: Iterable<string>): WildcardSet {
  const all = new Set(wildcards);
  return { all, partial: [...all].filter((host) => host !== "*" && !host.startsWith("*.")) };
}

/** The wildcards that cover the host, the most specific one first. */
export function wildcardsOver(host: string, { all, partial }: WildcardSet): readonly string[] {
  const found: string[] = [];
  for (let at = host.indexOf("."); at >= 0; at = host.indexOf(".", at + 1)) {
    const wildcard = `*${host.slice(at)}`;
    if (all.has(wildcard)) found.push(wildcard);
  }
  if (all.has("*")) found.push("*");
  const others = partial.filter((wildcard) => hostCovers(wildcard, host));
  return others.length === 0 ? found : [...found, ...others].sort((left, right) => right.length - left.length);
}

/** The most specific host that covers the name: the name itself, or else the longest wildcard. */
export function mostSpecificHost(hosts: Iterable<string>, name: string): string | undefined {
  let found: string | undefined;
  for (const host of hosts) {
    if (host === name) return host;
    if (isWildcard(host) && hostCovers(host, name) && (found === undefined || host.length > found.length)) found = host;
  }
  return found;
}

/**
 * Qualifies a host in a configuration object of a namespace: a bare name is a Service of that namespace. The result is
 * in lower case, because names are compared.
 */
export function qualifiedHost(host: string, namespace: string, domain: string): string {
  const name = host.toLowerCase();
  return name === "" || name === "*" || name.includes(".") || isAddress(name)
    ? name
    : `${name}.${namespace}.svc.${domain}`;
}
