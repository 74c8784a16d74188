import { decode, encode, RECURSION_DESIRED } from "dns-packet";
import type { DnsForwarder } from "../../net/dns/index.ts";
import type { HostsFile } from "./hosts-file.ts";
import type { ResolverFile } from "./resolver-file.ts";

export interface ResolvedName {
  /** Empty if the name does not exist. */
  readonly addresses: readonly string[];
  /** How long the records are valid. It is absent if there are no records, or if the name is in the hosts file. */
  readonly ttlMs?: number;
}

export interface HostLookupOptions {
  readonly forwarder: Pick<DnsForwarder, "ask">;
  readonly file: Pick<ResolverFile, "search" | "dotsOfFullNames">;
  /** Reads the hosts file, which takes precedence over name servers. It may change while the process runs. */
  readonly readHosts?: () => Promise<HostsFile>;
}

/** How many times a query is sent if no name server answers. A datagram may be lost. */
const attempts = 3;

/**
 * Resolves names directly at the name servers, like the C library. It is for code that must not receive this process's
 * own answers.
 */
export class HostLookup {
  readonly #options: HostLookupOptions;

  constructor(options: HostLookupOptions) {
    this.#options = options;
  }

  /**
   * Returns all addresses of a name. Rejects if no name server answers. `client` names the requester, so that the
   * waiting queries of one requester do not block those of others.
   */
  async lookUp(name: string, client?: string): Promise<ResolvedName> {
    const hosts = await this.#options.readHosts?.();
    const listed = hosts?.get(name.toLowerCase().replace(/\.$/, ""));
    if (listed !== undefined) return { addresses: listed };
    for (const candidate of this.#candidates(name)) {
      const records = (
        await Promise.all([this.#ask(candidate, "A", client), this.#ask(candidate, "AAAA", client)])
      ).flat();
      const addresses = records.flatMap(({ address }) => address ?? []);
      if (addresses.length > 0)
        return { addresses, ttlMs: Math.min(...records.map(({ ttlSeconds }) => ttlSeconds)) * 1000 };
    }
    return { addresses: [] };
  }

  #candidates(name: string): string[] {
    if (name.endsWith(".")) return [name.slice(0, -1)];
    const { search, dotsOfFullNames } = this.#options.file;
    const longer = search.map((domain) => `${name}.${domain}`);
    return name.split(".").length > dotsOfFullNames ? [name, ...longer] : [...longer, name];
  }

  /** Returns the addresses of the name with their lifetimes, and the lifetimes of the aliases that lead to them. */
  async #ask(
    name: string,
    type: "A" | "AAAA",
    client: string | undefined,
  ): Promise<{ address?: string; ttlSeconds: number }[]> {
    const query = encode({ type: "query", flags: RECURSION_DESIRED, questions: [{ type, name }] });
    const answer = decode(await this.#answer(query, client));
    return (answer.answers ?? []).flatMap((record) => {
      if (record.type === type) return [{ address: record.data, ttlSeconds: record.ttl ?? 0 }];
      return record.type === "CNAME" ? [{ ttlSeconds: record.ttl ?? 0 }] : [];
    });
  }

  async #answer(query: Buffer, client: string | undefined): Promise<Buffer> {
    const { forwarder } = this.#options;
    for (let attempt = 1; attempt < attempts; attempt++) {
      try {
        return await forwarder.ask(query, client);
      } catch {
        // Only the error of the last attempt is reported.
      }
    }
    return await forwarder.ask(query, client);
  }
}
