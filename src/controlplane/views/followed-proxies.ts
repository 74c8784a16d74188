import type { ProxyIdentity } from "../serve/index.ts";

export interface FollowedProxy {
  readonly proxy: ProxyIdentity;
  readonly followers: Set<() => void>;
}

export interface FollowedProxiesOptions<Followed extends FollowedProxy> {
  /** The keys by which {@link FollowedProxies.ofPod} finds a proxy. */
  readonly podKeysOf: (proxy: ProxyIdentity) => readonly string[];
  /** Makes the entry of a proxy that gets its first follower. */
  readonly make: (bare: FollowedProxy) => Followed;
  /** Called when a new entry can be found. Its follower gets no notifications before that. */
  readonly begun?: (followed: Followed) => void;
  /** Called when the last follower has left. The entry can no longer be found. */
  readonly ended?: (followed: Followed) => void;
}

/**
 * The proxies whose views are followed, each with an entry of its own. Entries are keyed by the identity object of a
 * stream and not by a name: two streams may claim the same name, and the metadata that a stream sends must concern only
 * that stream.
 */
export class FollowedProxies<Followed extends FollowedProxy> {
  readonly #options: FollowedProxiesOptions<Followed>;
  readonly #entries = new Map<ProxyIdentity, Followed>();
  readonly #byPod = new Map<string, Set<Followed>>();

  constructor(options: FollowedProxiesOptions<Followed>) {
    this.#options = options;
  }

  get(proxy: ProxyIdentity): Followed | undefined {
    return this.#entries.get(proxy);
  }

  all(): Iterable<Followed> {
    return this.#entries.values();
  }

  ofPod(key: string): Iterable<Followed> {
    return this.#byPod.get(key) ?? [];
  }

  /** Calls `changed` when somebody calls {@link tellFollowers} for the proxy, until the result is disposed of. */
  follow(proxy: ProxyIdentity, changed: () => void): Disposable {
    const followed = this.#entries.get(proxy) ?? this.#begin(proxy);
    // Two subscriptions of one stream may pass the same function, so wrap it.
    const follower = (): void => changed();
    followed.followers.add(follower);
    return {
      [Symbol.dispose]: () => {
        followed.followers.delete(follower);
        if (followed.followers.size === 0 && this.#entries.get(proxy) === followed) this.#end(followed);
      },
    };
  }

  #begin(proxy: ProxyIdentity): Followed {
    const { make, podKeysOf, begun } = this.#options;
    const followed = make({ proxy, followers: new Set() });
    this.#entries.set(proxy, followed);
    for (const key of podKeysOf(proxy)) this.#byPod.set(key, (this.#byPod.get(key) ?? new Set()).add(followed));
    begun?.(followed);
    return followed;
  }

  #end(followed: Followed): void {
    const { podKeysOf, ended } = this.#options;
    this.#entries.delete(followed.proxy);
    for (const key of podKeysOf(followed.proxy)) {
      const same = this.#byPod.get(key);
      same?.delete(followed);
      if (same?.size === 0) this.#byPod.delete(key);
    }
    ended?.(followed);
  }
}

export function tellFollowers({ followers }: FollowedProxy): void {
  for (const follower of followers) follower();
}
