import { jsonEqual } from "../../base/index.ts";
import { collectionOf, quotasKey, quotaStatus, specOf } from "../admission/index.ts";
import type { ChangeEvent } from "../store/index.ts";
import type { ServerParts } from "./context.ts";
import { ApiError } from "./status.ts";
import { serverIntent } from "./write.ts";
import type { Writer } from "./writer.ts";

/** How long to wait after a change, so that further changes in this time share the write. */
const settleMs = 50;

/**
 * Updates the status of ResourceQuotas from `start` until disposed. Follows only the kinds that a stored quota counts.
 */
export class QuotaStatus {
  readonly #parts: ServerParts;
  readonly #writer: Writer;
  readonly #subscriptions = new Map<string, Disposable>();
  readonly #changed = new Set<string>();
  #isWaiting = false;

  constructor(parts: ServerParts, writer: Writer) {
    this.#parts = parts;
    this.#writer = writer;
  }

  start(): void {
    this.#follow(quotasKey);
    for (const quota of this.#parts.store.collection(quotasKey).list()) this.#look(quota.namespace);
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions.values()) subscription[Symbol.dispose]();
  }

  #follow(collection: string): void {
    if (this.#subscriptions.has(collection)) return;
    const { store } = this.#parts;
    const changed = (events: readonly ChangeEvent[]): void => {
      for (const namespace of new Set(events.map(({ record }) => record.namespace))) this.#look(namespace);
    };
    this.#subscriptions.set(collection, store.collection(collection).subscribe(changed));
  }

  #look(namespace: string): void {
    const quotas = this.#parts.store.collection(quotasKey).list(namespace);
    if (quotas.length === 0) return;
    for (const quota of quotas)
      for (const name of Object.keys(specOf(quota).hard ?? {})) this.#follow(collectionOf(name));
    this.#changed.add(namespace);
    void this.#writeSoon();
  }

  async #writeSoon(): Promise<void> {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    await this.#parts.clock.sleep(settleMs, this.#parts.stopping).catch(() => undefined);
    this.#isWaiting = false;
    if (this.#parts.stopping.aborted) return;
    const namespaces = [...this.#changed];
    this.#changed.clear();
    for (const namespace of namespaces) await this.#write(namespace);
  }

  async #write(namespace: string): Promise<void> {
    const { log, registry, store } = this.#parts;
    const type = registry.resource("", "v1", "resourcequotas");
    if (type === undefined) return;
    for (const quota of store.collection(quotasKey).list(namespace)) {
      const status = quotaStatus(store, quota);
      if (jsonEqual(quota.object["status"], status)) continue;
      try {
        const intent = serverIntent(type, namespace, "status");
        await this.#writer.update(intent, quota.name, (current) => ({ ...current, status }));
      } catch (error) {
        if (!(error instanceof ApiError && error.reason === "NotFound"))
          log.warn("the status of a quota could not be written", {
            quota: `${namespace}/${quota.name}`,
            error: String(error),
          });
      }
    }
  }
}
