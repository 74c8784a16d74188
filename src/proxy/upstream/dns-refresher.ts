import { messageOf, type Clock, type Logger } from "../../base/index.ts";

/** Looks a name up: IP addresses, in any order. */
export type ResolveName = (name: string) => Promise<readonly string[]>;

export interface DnsRefresherOptions {
  readonly names: readonly string[];
  readonly refreshMs: number;
  readonly resolve: ResolveName;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told when the addresses of any name have changed, and the first time. */
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
  }

  start(): void {
    void this.#refresh();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.[Symbol.dispose]();
  }

  async #refresh(): Promise<void> {
    const { names, resolve, log, refreshMs, clock } = this.#options;
    for (const name of new Set(names)) {
      try {
        const found = isAddress(name) ? [name] : [...(await resolve(name))].sort();
        if (found.length > 0) this.#addresses.set(name, found);
      } catch (error) {
        log.debug("a name cannot be resolved", { name, error: messageOf(error) });
      }
    }
    if (this.#stopped) return;
    const text = JSON.stringify([...this.#addresses]);
    if (text !== this.#told) {
      this.#told = text;
      this.#options.onChange(this.#addresses);
    }
    this.#timer = clock.after(refreshMs, () => void this.#refresh());
  }
}

function isAddress(name: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || name.includes(":");
}
