import { isIP } from "node:net";
import { isInsideAddress, transientError, type Clock } from "../../base/index.ts";
import type { ResolvedName } from "../../dataplane/dns/index.ts";
import { ofFamily, type AddressFamily } from "./address-family.ts";
import type { ResolveName } from "./dns-refresher.ts";

export interface ForwardNameRules {
  /** The port of a request that names none. */
  readonly defaultPort: number;
  /** The maximum number of known names. Above it, the name that was unused for longest is forgotten. */
  readonly maxHosts: number;
  /** The time after which a name is resolved again if the DNS answer has no lifetime, in milliseconds. */
  readonly refreshMs: number;
  /** The minimum time after which a name is resolved again, if its answer has a lifetime. */
  readonly minTtlMs: number;
  /** The time after which an unused name is forgotten, in milliseconds. */
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
  giveUp: ((error: Error) => void) | undefined;
}

/**
 * Resolves the names that clients request, for a cluster without endpoints.
 *
 * Envoy forwards to any address. This proxy excludes loopback and link-local addresses and the addresses that serve a
 * cloud's credentials, so that the owner of a name cannot reach the proxy's own ports through it.
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
   * Returns an address of the name, or a promise if the name must be resolved first. Rejects if the name has no
   * address, or if it must make room for another name before it is resolved. `client` is the address of the client.
   */
  addressOf(name: string, client: string): string | Promise<string> {
    const nowMs = this.#clock.steadyMs();
    const known = this.#names.get(name);
    if (known !== undefined) {
      known.usedAtMs = nowMs;
      // Move the name to the end: the map's order is that of the last use.
      this.#names.delete(name);
      this.#names.set(name, known);
      if (known.addresses.length > 0) {
        // Use the old address until the name is resolved again.
        if (nowMs - known.askedAtMs >= known.refreshMs && known.pending === undefined)
          void this.#ask(name, known, client).catch(() => undefined);
        return take(known);
      }
      if (known.pending !== undefined) return known.pending.then(() => take(known));
    }
    if (known === undefined) this.#makeRoom();
    const { refreshMs } = this.rules;
    const fresh: KnownName = {
      addresses: [],
      askedAtMs: nowMs,
      refreshMs,
      usedAtMs: nowMs,
      next: 0,
      pending: undefined,
      giveUp: undefined,
    };
    this.#names.set(name, fresh);
    return this.#ask(name, fresh, client).then(() => take(fresh));
  }

  /**
   * Forgets a name if there are too many. A client that requests many names must not keep others from requesting
   * theirs.
   */
  #makeRoom(): void {
    const { maxHosts } = this.rules;
    for (const [oldest, { giveUp }] of this.#names) {
      if (this.#names.size < maxHosts) return;
      this.#names.delete(oldest);
      giveUp?.(transientError("busy", `${oldest} was not resolved before ${maxHosts} other names were requested`));
    }
  }

  /** Forgets names that nobody uses. Must be called once a second, with the steady clock. */
  sweep(nowMs: number): void {
    for (const [name, { usedAtMs, pending }] of this.#names)
      if (pending === undefined && nowMs - usedAtMs >= this.rules.idleMs) this.#names.delete(name);
  }

  #ask(name: string, known: KnownName, client: string): Promise<void> {
    const query = this.#query(name, known, client).finally(() => {
      known.pending = undefined;
      if (known.addresses.length === 0 && this.#names.get(name) === known) this.#names.delete(name);
    });
    known.pending = query;
    return query;
  }

  async #query(name: string, known: KnownName, client: string): Promise<void> {
    known.askedAtMs = this.#clock.steadyMs();
    const { addresses, ttlMs = 0 } =
      isIP(name) === 0 ? await this.#withinTime(name, known, client) : { addresses: [name] };
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

  #withinTime(name: string, known: KnownName, client: string): Promise<ResolvedName> {
    const { promise, resolve, reject } = Promise.withResolvers<ResolvedName>();
    const limit = this.#clock.after(this.rules.queryTimeoutMs, () =>
      reject(transientError("timeout", `${name} was not resolved in ${this.rules.queryTimeoutMs} ms`)),
    );
    this.#resolve(name, client).then(resolve, reject);
    known.giveUp = reject;
    return promise.finally(() => {
      limit[Symbol.dispose]();
      known.giveUp = undefined;
    });
  }
}

function take(known: KnownName): string {
  known.next = (known.next + 1) % known.addresses.length;
  return known.addresses[known.next] ?? "";
}
