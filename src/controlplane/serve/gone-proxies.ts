import { ownCopy } from "../../base/index.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";

/** Who a proxy is, and what shows whether that is proven. */
export type NamedProxy = Pick<ProxyIdentity, "id" | "type" | "name" | "namespace" | "peer" | "verified">;

/**
 * How long disconnected proxies are remembered, so that a rollout that waits for their acknowledgement sees that they
 * are gone.
 */
const rememberMs = 30_000;
const maxRemembered = 10_000;

/**
 * The proxies that disconnected a short while ago. Any client of the port without authentication gets here, and nothing
 * counts the memory any more. So this keeps only short texts, as copies: a part of a text keeps the whole text.
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

  /** The proxy is back. */
  forget(id: string): void {
    this.#gone.delete(id);
  }

  recent(nowMs: number): readonly NamedProxy[] {
    this.#forgetOld(nowMs);
    return [...this.#gone.values()].map(({ proxy }) => proxy);
  }

  #forgetOld(nowMs: number): void {
    for (const [id, { atMs }] of this.#gone) {
      if (nowMs - atMs <= rememberMs) break;
      this.#gone.delete(id);
    }
  }
}
