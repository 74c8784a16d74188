import { readFile } from "node:fs/promises";

/** Addresses by name in lower case: the content of a hosts file (hosts(5)). */
export type HostsFile = ReadonlyMap<string, readonly string[]>;

export function parseHostsFile(text: string): HostsFile {
  const hosts = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    for (const name of names) {
      const key = name.toLowerCase();
      const known = hosts.get(key);
      if (known === undefined) hosts.set(key, [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  return hosts;
}

/** Reads a hosts file. Returns an empty map if the file cannot be read. */
export async function readHostsFile(path: string): Promise<HostsFile> {
  return parseHostsFile(await readFile(path, "utf8").catch(() => ""));
}
