import { secretKind, type Secret } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, type Collection, type KubeClient, type SourceCollection } from "../../kube/index.ts";
import type { SecretFacts, SecretReference } from "../model/secret-facts.ts";
import { missingSecret, secretFacts } from "./secret-facts.ts";

export interface SecretIngestOptions {
  readonly client: KubeClient;
  /** What is asked for; several may mean one secret. */
  readonly references: readonly Collection<SecretReference>[];
  readonly secrets: SourceCollection<SecretFacts>;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Watched {
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/**
 * Holds the secrets that configuration names, and no others: each is watched by its own name, so that a control plane that
 * is read out tells nothing that no gateway serves, and other secrets' changes cost nothing.
 */
export class SecretIngest {
  readonly #options: SecretIngestOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: SecretIngestOptions) {
    this.#options = options;
  }

  /** Until the signal; what is asked for may change all the time. */
  async run(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const subscriptions = this.#options.references.map((references) => references.subscribe(() => this.#adjust(signal)));
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    await promise;
    for (const subscription of subscriptions) subscription[Symbol.dispose]();
    await Promise.all([...this.#watched.values()].map((watched) => this.#end(watched)));
  }

  #adjust(signal: AbortSignal): void {
    if (signal.aborted) return;
    const wanted = new Map([...this.#references()].map((reference) => [`${reference.namespace}/${reference.name}`, reference]));
    for (const [key, watched] of this.#watched) {
      if (wanted.has(key)) continue;
      this.#watched.delete(key);
      void this.#end(watched).then(() => {
        if (!this.#watched.has(key)) this.#options.secrets.delete(key);
      });
    }
    for (const [key, { namespace, name }] of wanted) if (!this.#watched.has(key)) this.#watched.set(key, this.#watch(namespace, name, signal));
  }

  async #end(watched: Watched): Promise<void> {
    watched.stop.abort();
    await watched.done;
  }

  #watch(namespace: string, name: string, outer: AbortSignal): Watched {
    const { client, clock, log, secrets } = this.#options;
    const stop = new AbortController();
    const key = `${namespace}/${name}`;
    const informer = createInformer<Secret>(client, secretKind, { namespace, fieldSelector: `metadata.name=${name}`, log, clock });
    const subscription = informer.subscribe((change) => {
      if (change.key === key) this.#take(change.type === "set" ? secretFacts(change.object) : missingSecret(namespace, name));
    });
    void informer.synced.then(() => {
      // An earlier watch may have left what has been deleted since.
      if (!stop.signal.aborted && informer.get(key) === undefined && secrets.get(key)?.exists !== false) this.#take(missingSecret(namespace, name));
    });
    const done = informer.run(AbortSignal.any([stop.signal, outer])).finally(() => subscription[Symbol.dispose]());
    return { stop, done };
  }

  #take(facts: SecretFacts): void {
    const key = `${facts.namespace}/${facts.name}`;
    this.#options.secrets.set(key, facts);
    const asked = [...this.#references()].filter((reference) => `${reference.namespace}/${reference.name}` === key && (facts.exists || !reference.optional));
    for (const part of new Set(asked.map((reference) => reference.part))) {
      const found = facts[part];
      if ("fault" in found) this.#options.log.warn("a secret that a gateway asks for cannot be used", { secret: key, for: part === "keyPair" ? "a certificate" : "an authority", fault: found.fault });
    }
  }

  *#references(): Iterable<SecretReference> {
    for (const references of this.#options.references) yield* references.values();
  }
}
