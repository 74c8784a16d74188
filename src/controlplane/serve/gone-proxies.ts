import { ownCopy } from "../../base/index.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";

/** The identity of a proxy, and whether it is proven. */
export type NamedProxy = Pick<ProxyIdentity, "id" | "type" | "name" | "namespace" | "peer" | "verified">;

/** A proxy that has disconnected, and when. */
export interface GoneProxy extends NamedProxy {
  readonly goneAtMs: number;
}

/**
 * How long disconnected proxies are remembered. A rollout waits that long for a proxy that may only be between two
 * connections.
 */
const rememberMs = 30_000;
const maxRemembered = 10_000;

/**
 * The proxies that disconnected a short while ago. Any client of the port without authentication can get into this
 * list, and the server no longer counts the memory of its entry. The list therefore keeps only short texts, and copies
 * them, because a part of a text would keep the whole text in memory.
 */
export class GoneProxies {
  /** The oldest comes first. */
  readonly #gone = new Map<string, { readonly proxy: NamedProxy; readonly atMs: number }>();

  remember({ id, type, name, namespace, peer, verified }: NamedProxy, nowMs: number): void {
    const proxy = {
      id: ownCopy(id),
      type: ownCopy(type),
      name: ownCopy(name),
      namespace: ownCopy(namespace),
      peer,
      verified,
    };
    this.#gone.delete(proxy.id);
    this.#forgetOld(nowMs);
    if (this.#gone.size >= maxRemembered) this.#gone.delete(this.#gone.keys().next().value ?? "");
    this.#gone.set(proxy.id, { proxy, atMs: nowMs });
  }

  /** Forgets a proxy that has connected again. */
  forget(id: string): void {
    this.#gone.delete(id);
  }

  recent(nowMs: number): readonly GoneProxy[] {
    this.#forgetOld(nowMs);
    return [...this.#gone.values()].map(({ proxy, atMs }) => ({ ...proxy, goneAtMs: atMs }));
  }

  #forgetOld(nowMs: number): void {
    for (const [id, { atMs }] of this.#gone) {
      if (nowMs - atMs <= rememberMs) break;
      this.#gone.delete(id);
    }
  }
}
