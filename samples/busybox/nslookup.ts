import { Resolver } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { printError, printLine } from "./print.ts";
import { readWords, UsageError } from "./options.ts";

const types = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"] as const;
type RecordType = (typeof types)[number];

/** `nslookup [-type=TYPE] NAME [SERVER]`. */
export async function nslookup(words: readonly string[]): Promise<number> {
  const { values, rest } = readWords(words, { flags: ["debug"], valued: ["type", "querytype"] });
  const [name, server] = rest;
  if (name === undefined || rest.length > 2) throw new UsageError("nslookup takes a name, and at most one server");
  const typeName = (values.get("type") ?? values.get("querytype"))?.at(-1)?.toUpperCase();
  const type = types.find((known) => known === typeName);
  if (typeName !== undefined && type === undefined)
    throw new UsageError(`-type takes one of ${types.join(", ").toLowerCase()}`);
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  if (server !== undefined) resolver.setServers([server]);
  const [used = ""] = resolver.getServers();
  const address = used.replace(/:\d+$/, "");
  printLine(`Server:\t\t${address}\nAddress:\t${used === address ? `${used}:53` : used}\n`);
  const lines = isIP(name) === 0 ? await ask(resolver, name, type) : await askReverse(resolver, name);
  if (lines === undefined) {
    printError(`** server can't find ${name}: NXDOMAIN\n`);
    return 1;
  }
  printLine(`${lines.join("\n")}\n`);
  return 0;
}

/** Returns the records of the first candidate that has some. Returns undefined if none has any. */
async function ask(resolver: Resolver, name: string, type: RecordType | undefined): Promise<string[] | undefined> {
  let text = "";
  try {
    text = readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    // Without the file there are no search domains.
  }
  for (const candidate of candidatesOf(name, text)) {
    const found: string[] = [];
    for (const wanted of type === undefined ? (["A", "AAAA"] as const) : [type])
      found.push(...(await linesOf(resolver, candidate, wanted)));
    if (found.length > 0) return found;
  }
  return undefined;
}

/** Returns the full names to look up, in the order of resolv.conf's search list and `ndots`. Exported for tests. */
export function candidatesOf(name: string, resolvConf: string): string[] {
  if (name.endsWith(".")) return [name.slice(0, -1)];
  const lines = resolvConf.split("\n").map((line) => line.trim().split(/\s+/));
  const search = lines.findLast(([keyword]) => keyword === "search")?.slice(1) ?? [];
  const ndots = Number(/\bndots:(\d+)/.exec(resolvConf)?.[1] ?? 1);
  const searched = search.map((domain) => `${name}.${domain}`);
  return name.split(".").length - 1 >= ndots ? [name, ...searched] : [...searched, name];
}

async function linesOf(resolver: Resolver, name: string, type: RecordType): Promise<string[]> {
  try {
    const records: readonly unknown[] = await resolver.resolve(name, type as "A");
    return records.map((record) =>
      type === "A" || type === "AAAA" ? `Name:\t${name}\nAddress: ${String(record)}` : `${name}\t${textOf(record)}`,
    );
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOTFOUND" || code === "ENODATA") return [];
    throw error;
  }
}

function textOf(record: unknown): string {
  return typeof record === "string" ? record : Object.values(record as object).join(" ");
}

async function askReverse(resolver: Resolver, address: string): Promise<string[] | undefined> {
  try {
    return (await resolver.reverse(address)).map((name) => `${address}\tname = ${name}`);
  } catch {
    return undefined;
  }
}
