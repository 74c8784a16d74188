import { ownCopy } from "../../base/index.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";

/** Who a proxy is, and whether it has proven that. */
export type NamedProxy = Pick<ProxyIdentity, "id" | "type" | "name" | "namespace" | "peer" | "verified">;

export interface GoneProxy extends NamedProxy {
  readonly goneAtMs: number;
}

/**
 * How long a disconnected proxy is remembered. For so long, a rollout waits for a proxy that may only be between two
 * connections.
 */
const rememberMs = 30_000;
const maxRemembered = 10_000;

/**
 * The proxies that disconnected a short while ago. Any client of the port without authentication can get into this
 * list, and the server no longer counts the memory of its entry. So the list keeps only short texts. It copies them,
 * because a part of a text would keep the whole text in memory.
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

  /** Called when the proxy has connected again. */
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
