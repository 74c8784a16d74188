import { secretKind, type Secret } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import type { Collection, CollectionIndex, KubeClient, SourceCollection } from "../../kube/index.ts";
import type { SecretFacts, SecretReference } from "../model/secret-facts.ts";
import { NamedObjects } from "./named-objects.ts";
import { missingSecret, secretFacts } from "./secret-facts.ts";

export interface SecretIngestOptions {
  readonly client: KubeClient;
  readonly references: readonly Collection<SecretReference>[];
  readonly secrets: SourceCollection<SecretFacts>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Reads only the secrets that configuration names, with one watch for each. So an attacker who reads the control
 * plane's memory finds no other secrets, and changes of other secrets cost nothing.
 */
export class SecretIngest {
  readonly #options: SecretIngestOptions;
  readonly #objects: NamedObjects<Secret>;
  /**
   * The references by `namespace/name` of the secret. One object may name thousands of secrets, so a search through all
   * references would be slow.
   */
  readonly #bySecret: readonly CollectionIndex<SecretReference>[];

  constructor(options: SecretIngestOptions) {
    this.#options = options;
    const { client, references, secrets, clock, log } = options;
    this.#bySecret = references.map((collection) =>
      collection.index("secret", ({ namespace, name }) => [`${namespace}/${name}`]),
    );
    this.#objects = new NamedObjects({
      client,
      kind: secretKind,
      references,
      take: ({ namespace, name }, secret) =>
        this.#take(secret === undefined ? missingSecret(namespace, name) : secretFacts(secret)),
      forget: (key) => secrets.delete(key),
      knownAbsent: (key) => secrets.get(key)?.exists === false,
      clock,
      log,
    });
  }

  /** Follows the references, which may change at any time, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#objects.run(signal);
  }

  #take(facts: SecretFacts): void {
    const { secrets, log } = this.#options;
    const key = `${facts.namespace}/${facts.name}`;
    secrets.set(key, facts);
    const named = this.#bySecret.flatMap((index) => index.lookup(key));
    const needed = named.filter((reference) => facts.exists || !reference.optional);
    const parts = new Set(needed.map((reference) => reference.part));
    if (parts.has("keyPair") && "value" in facts.keyPair && facts.keyPair.value.stapleFault !== undefined)
      log.warn("a staple is left out of a secret that a gateway asks for", {
        secret: key,
        fault: facts.keyPair.value.stapleFault,
      });
    const isServer = needed.some((reference) => reference.isServer === true);
    for (const part of parts) {
      const found = facts[part];
      const fault =
        "fault" in found ? found.fault : "serverFault" in found.value && isServer ? found.value.serverFault : undefined;
      if (fault !== undefined)
        log.warn("a secret that a gateway asks for cannot be used", {
          secret: key,
          for: part === "keyPair" ? "a certificate" : "an authority",
          fault,
        });
    }
  }
}
