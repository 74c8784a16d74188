import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { ResolvedName } from "../../dataplane/dns/index.ts";
import { ofFamily, type AddressFamily } from "./address-family.ts";

/**
 * Resolves a name to IP addresses, in any order. `client` names the requester: when too many queries wait, each client
 * has a share of them. It is absent for names of the configuration.
 */
export type ResolveName = (name: string, client?: string) => Promise<ResolvedName>;

/** The minimum pause before a name is resolved again, because a record may have a very short lifetime. */
const minTtlMs = 1000;

export interface DnsRefresherOptions {
  readonly names: readonly string[];
  readonly refreshMs: number;
  /**
   * Whether a name is resolved again when the lifetime of its records is over. Otherwise it is resolved again after
   * `refreshMs`.
   */
  readonly respectsTtl: boolean;
  /** Which addresses of a name are used. An IP address in place of a name is always used. */
  readonly family: AddressFamily;
  /** The addresses of a previous refresher, which are used until the first response. */
  readonly known?: ReadonlyMap<string, readonly string[]>;
  readonly resolve: ResolveName;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called with the first addresses of a name, and with each change. */
  readonly onChange: (addresses: ReadonlyMap<string, readonly string[]>) => void;
}

/**
 * Keeps the addresses of a cluster's names up to date. As in Envoy, each name is resolved separately, so that a slow
 * one does not delay the others. A name that cannot be resolved keeps its last addresses.
 */
export class DnsRefresher {
  readonly #options: DnsRefresherOptions;
  readonly #addresses = new Map<string, readonly string[]>();
  /** The names for which neither a response nor an error has arrived yet. */
  readonly #unanswered: Set<string>;
  readonly #timers = new Map<string, Disposable>();
  #stopped = false;
  #reported = "";

  constructor(options: DnsRefresherOptions) {
    this.#options = options;
    this.#unanswered = new Set(options.names.filter((name) => !isAddress(name)));
    for (const name of options.names) {
      const found = isAddress(name) ? [name] : ofFamily(options.known?.get(name) ?? [], options.family);
      if (found.length > 0) this.#addresses.set(name, found);
    }
  }

  get addresses(): ReadonlyMap<string, readonly string[]> {
    return this.#addresses;
  }

  start(): void {
    this.#tell();
    for (const name of this.#unanswered) void this.#refresh(name);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer[Symbol.dispose]();
  }

  async #refresh(name: string): Promise<void> {
    const { resolve, log, refreshMs, respectsTtl, clock, family } = this.#options;
    let againMs = refreshMs;
    try {
      const { addresses, ttlMs = 0 } = await resolve(name);
      const found = [...ofFamily(addresses, family)].sort();
      if (found.length > 0) this.#addresses.set(name, found);
      // As in Envoy, a lifetime of 0 counts as unknown, so `refreshMs` applies.
      if (respectsTtl && ttlMs > 0) againMs = Math.max(minTtlMs, ttlMs);
    } catch (error) {
      log.debug("a name cannot be resolved", { name, error: messageOf(error) });
    }
    this.#unanswered.delete(name);
    if (this.#stopped) return;
    this.#tell();
    this.#timers.set(
      name,
      clock.after(againMs, () => void this.#refresh(name)),
    );
  }

  /**
   * Reports the addresses. An empty set would mean that no name has an address, so it is reported only after every name
   * was answered.
   */
  #tell(): void {
    if (this.#addresses.size === 0 && this.#unanswered.size > 0) return;
    const text = JSON.stringify(this.#options.names.map((name) => this.#addresses.get(name)));
    if (text === this.#reported) return;
    this.#reported = text;
    this.#options.onChange(this.#addresses);
  }
}

function isAddress(name: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || name.includes(":");
}
