import { readFile } from "node:fs/promises";

/** The content of a resolv.conf. */
export interface ResolverFile {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  /** A name with fewer dots is tried with the search domains first. */
  readonly dotsOfFullNames: number;
}

export function parseResolverFile(text: string): ResolverFile {
  const nameservers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] ?? "");
  // If several lines name search domains, the last one applies (resolv.conf(5)).
  const search = [...text.matchAll(/^\s*(?:search|domain)\s+(.*)$/gm)].at(-1)?.[1]?.trim().split(/\s+/) ?? [];
  const dots = Number([...text.matchAll(/^\s*options\b.*\bndots:(\d+)/gm)].at(-1)?.[1] ?? 1);
  return {
    nameservers,
    search: search.map((domain) => domain.toLowerCase().replace(/\.$/, "")).filter((domain) => domain !== ""),
    dotsOfFullNames: dots,
  };
}

/** Reads a resolv.conf. The result has no name servers if the file cannot be read. */
export async function readResolverFile(path: string): Promise<ResolverFile> {
  return parseResolverFile(await readFile(path, "utf8").catch(() => ""));
}
