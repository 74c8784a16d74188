import { isIP } from "node:net";
import { isInsideAddress, transientError, type Clock } from "../../base/index.ts";
import type { ResolvedName } from "../../dataplane/dns/index.ts";
import { ofFamily, type AddressFamily } from "./address-family.ts";
import type { ResolveName } from "./dns-refresher.ts";

/** How a cluster resolves the names in requests. */
export interface ForwardNameRules {
  /** The port for requests that name none. */
  readonly defaultPort: number;
  /** The maximum number of known names. Requests for further names are rejected. */
  readonly maxHosts: number;
  /** If a DNS answer has no lifetime, the name is resolved again after this time. */
  readonly refreshMs: number;
  /** Any other name is resolved again when its answer is no longer valid, but not earlier than this. */
  readonly minTtlMs: number;
  /** An unused name is forgotten after this time. */
  readonly idleMs: number;
  readonly queryTimeoutMs: number;
  readonly family: AddressFamily;
}

interface KnownName {
  addresses: readonly string[];
  askedAtMs: number;
  refreshMs: number;
  usedAtMs: number;
  next: number;
  pending: Promise<void> | undefined;
}

/**
 * The addresses of names that clients request, for a cluster without endpoints. Envoy forwards to any address. This
 * proxy excludes loopback and link-local addresses and those of a cloud's credentials, so that a name's owner cannot
 * reach the proxy's own ports.
 */
export class ForwardNames {
  readonly rules: ForwardNameRules;
  readonly #resolve: ResolveName;
  readonly #clock: Clock;
  readonly #names = new Map<string, KnownName>();

  constructor(rules: ForwardNameRules, resolve: ResolveName, clock: Clock) {
    this.rules = rules;
    this.#resolve = resolve;
    this.#clock = clock;
  }

  get size(): number {
    return this.#names.size;
  }

  /**
   * Returns an address of the name, or a promise if the name is not resolved yet. Rejects if it has no address, or
   * there are too many names.
   */
  addressOf(name: string): string | Promise<string> {
    const nowMs = this.#clock.steadyMs();
    const known = this.#names.get(name);
    if (known !== undefined) {
      known.usedAtMs = nowMs;
      if (known.addresses.length > 0) {
        // An expired address is used until the name is resolved again.
        if (nowMs - known.askedAtMs >= known.refreshMs && known.pending === undefined)
          void this.#ask(name, known).catch(() => undefined);
        return take(known);
      }
      if (known.pending !== undefined) return known.pending.then(() => take(known));
    }
    if (known === undefined && this.#names.size >= this.rules.maxHosts)
      return Promise.reject(transientError("busy", `more than ${this.rules.maxHosts} names are known at once`));
    const { refreshMs } = this.rules;
    const fresh: KnownName = {
      addresses: [],
      askedAtMs: nowMs,
      refreshMs,
      usedAtMs: nowMs,
      next: 0,
      pending: undefined,
    };
    this.#names.set(name, fresh);
    return this.#ask(name, fresh).then(() => take(fresh));
  }

  /** Forgets names that nobody uses. Must be called once a second, with the steady clock. */
  sweep(nowMs: number): void {
    for (const [name, { usedAtMs, pending }] of this.#names)
      if (pending === undefined && nowMs - usedAtMs >= this.rules.idleMs) this.#names.delete(name);
  }

  #ask(name: string, known: KnownName): Promise<void> {
    const query = this.#query(name, known).finally(() => {
      known.pending = undefined;
      if (known.addresses.length === 0 && this.#names.get(name) === known) this.#names.delete(name);
    });
    known.pending = query;
    return query;
  }

  async #query(name: string, known: KnownName): Promise<void> {
    known.askedAtMs = this.#clock.steadyMs();
    const { addresses, ttlMs = 0 } = isIP(name) === 0 ? await this.#withinTime(name) : { addresses: [name] };
    const { refreshMs, minTtlMs } = this.rules;
    known.refreshMs = ttlMs > 0 ? Math.max(minTtlMs, ttlMs) : refreshMs;
    const usable = ofFamily(
      addresses.filter((address) => !isInsideAddress(address)),
      this.rules.family,
    );
    if (usable.length > 0) known.addresses = usable;
    else if (known.addresses.length === 0)
      throw transientError("dns-no-address", `${name} has no address that may be forwarded to`);
  }

  #withinTime(name: string): Promise<ResolvedName> {
    const { promise, resolve, reject } = Promise.withResolvers<ResolvedName>();
    const limit = this.#clock.after(this.rules.queryTimeoutMs, () =>
      reject(transientError("timeout", `${name} was not resolved in ${this.rules.queryTimeoutMs} ms`)),
    );
    this.#resolve(name).then(resolve, reject);
    return promise.finally(() => limit[Symbol.dispose]());
  }
}

function take(known: KnownName): string {
  known.next = (known.next + 1) % known.addresses.length;
  return known.addresses[known.next] ?? "";
}
