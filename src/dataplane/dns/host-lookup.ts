import { decode, encode, RECURSION_DESIRED } from "dns-packet";
import type { DnsForwarder } from "../../net/dns/index.ts";
import type { ResolverFile } from "./resolver-file.ts";

/** Resolves names at the name servers directly, like the C library. For code that must not receive its own answers. */
export class HostLookup {
  readonly #forwarder: DnsForwarder;
  readonly #file: Pick<ResolverFile, "search" | "dotsOfFullNames">;

  constructor(forwarder: DnsForwarder, file: Pick<ResolverFile, "search" | "dotsOfFullNames">) {
    this.#forwarder = forwarder;
    this.#file = file;
  }

  /** All addresses of a name. Empty if nobody knows it. Rejects if no name server answers. */
  async addresses(name: string): Promise<readonly string[]> {
    for (const candidate of this.#candidates(name)) {
      const found = (await Promise.all([this.#ask(candidate, "A"), this.#ask(candidate, "AAAA")])).flat();
      if (found.length > 0) return found;
    }
    return [];
  }

  #candidates(name: string): string[] {
    if (name.endsWith(".")) return [name.slice(0, -1)];
    const { search, dotsOfFullNames } = this.#file;
    const longer = search.map((domain) => `${name}.${domain}`);
    return name.split(".").length > dotsOfFullNames ? [name, ...longer] : [...longer, name];
  }

  async #ask(name: string, type: "A" | "AAAA"): Promise<string[]> {
    const query = encode({ type: "query", flags: RECURSION_DESIRED, questions: [{ type, name }] });
    const answer = decode(await this.#forwarder.ask(query));
    return (answer.answers ?? []).flatMap((record) => (record.type === type ? [record.data] : []));
  }
}
