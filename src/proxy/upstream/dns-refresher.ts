import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import { ofFamily, type AddressFamily } from "./address-family.ts";

/** Looks a name up: IP addresses, in any order. */
export type ResolveName = (name: string) => Promise<readonly string[]>;

export interface DnsRefresherOptions {
  readonly names: readonly string[];
  readonly refreshMs: number;
  /** The address families that count for a name. An address in place of a name always counts. */
  readonly family: AddressFamily;
  /** A previous refresher's result, which is valid until there is an answer. */
  readonly known?: ReadonlyMap<string, readonly string[]>;
  readonly resolve: ResolveName;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when the addresses of a name have changed, and for the first time. */
  readonly onChange: (addresses: ReadonlyMap<string, readonly string[]>) => void;
}

/** Keeps the addresses of a cluster's names current. A name that cannot be looked up keeps the addresses that it had. */
export class DnsRefresher {
  readonly #options: DnsRefresherOptions;
  readonly #addresses = new Map<string, readonly string[]>();
  #timer: Disposable | undefined;
  #stopped = false;
  #told = "";

  constructor(options: DnsRefresherOptions) {
    this.#options = options;
    for (const name of options.names) {
      const found = ofFamily(options.known?.get(name) ?? [], options.family);
      if (found.length > 0) this.#addresses.set(name, found);
    }
  }

  /** The addresses of each resolved name. */
  get addresses(): ReadonlyMap<string, readonly string[]> {
    return this.#addresses;
  }

  start(): void {
    if (this.#addresses.size > 0) this.#tell();
    void this.#refresh();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #refresh(): Promise<void> {
    const { names, resolve, log, refreshMs, clock, family } = this.#options;
    for (const name of new Set(names)) {
      try {
        const found = isAddress(name) ? [name] : [...ofFamily(await resolve(name), family)].sort();
        if (found.length > 0) this.#addresses.set(name, found);
      } catch (error) {
        log.debug("a name cannot be resolved", { name, error: messageOf(error) });
      }
    }
    if (this.#stopped) return;
    this.#tell();
    this.#timer = clock.after(refreshMs, () => void this.#refresh());
  }

  #tell(): void {
    const text = JSON.stringify([...this.#addresses]);
    if (text === this.#told) return;
    this.#told = text;
    this.#options.onChange(this.#addresses);
  }
}

function isAddress(name: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || name.includes(":");
}
