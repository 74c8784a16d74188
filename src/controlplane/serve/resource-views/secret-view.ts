import type { Collection, CollectionIndex } from "../../../kube/index.ts";
import {
  authoritySuffix,
  configMapOfResource,
  configMapResource,
  resourcesOfSecret,
  secretReferences,
  type ConfigMapFacts,
  type SecretFacts,
  type SecretReference,
} from "../../model/index.ts";
import { rootsResource, secretResource, type EncodedResource } from "../../translate/index.ts";
import { subscribeToKeys, type ResourceView } from "./resource-view.ts";

export interface SecretViewOptions {
  readonly secrets: Collection<SecretFacts>;
  /** The secrets that configuration names, with the proxies that may have them. See `deriveSecretReferences`. */
  readonly references: readonly Collection<SecretReference>[];
  /** Roots are not secret, so every proxy that names some gets them. */
  readonly configMaps: Collection<ConfigMapFacts>;
}

/**
 * The secrets that the proxies of one namespace may see: those that configuration names for them. A secret is encoded
 * when it is requested.
 */
export class SecretView implements ResourceView {
  readonly #options: SecretViewOptions;
  readonly #namespace: string;
  readonly #granted: readonly CollectionIndex<SecretReference>[];

  constructor(options: SecretViewOptions, namespace: string) {
    this.#options = options;
    this.#namespace = namespace;
    this.#granted = options.references.map((references) =>
      references.index("resource", (reference) => [`${reference.proxyNamespace}|${reference.resource}`]),
    );
  }

  get(name: string): EncodedResource | undefined {
    const configMap = configMapOfResource(name);
    if (configMap !== undefined) {
      const found = this.#options.configMaps.get(`${configMap.namespace}/${configMap.name}`);
      return found === undefined ? undefined : rootsResource(name, found.authority);
    }
    const granted = this.#granted.flatMap((index) => index.lookup(`${this.#namespace}|${name}`));
    if (granted.length === 0) return undefined;
    const isServer = granted.some((reference) => reference.isServer === true);
    for (const reference of secretReferences(name, this.#namespace)) {
      const secret = this.#options.secrets.get(`${reference.namespace}/${reference.name}`);
      const resource = secret === undefined ? undefined : secretResource(name, secret, { ...reference, isServer });
      if (resource !== undefined) return resource;
    }
    return undefined;
  }

  /** Secrets can only be requested by name. */
  all(): Iterable<EncodedResource> {
    return [];
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    const subscriptions = [
      subscribeToKeys(this.#options.secrets, (keys) => {
        changed(
          keys.flatMap((key) =>
            resourcesOfSecret({ namespace: key.slice(0, key.indexOf("/")), name: key.slice(key.indexOf("/") + 1) }),
          ),
        );
      }),
      subscribeToKeys(this.#options.configMaps, (keys) => {
        changed(
          keys.map(
            (key) =>
              `${configMapResource({ namespace: key.slice(0, key.indexOf("/")), name: key.slice(key.indexOf("/") + 1) })}${authoritySuffix}`,
          ),
        );
      }),
      // References change with ReferenceGrants, too.
      ...this.#options.references.map((references) =>
        references.subscribe((changes) =>
          changed(
            changes.flatMap((change) => (change.type === "set" ? change.item.resource : change.previous.resource)),
          ),
        ),
      ),
    ];
    return {
      [Symbol.dispose]: () => {
        for (const subscription of subscriptions) subscription[Symbol.dispose]();
      },
    };
  }
}
