import { configMapKind, type ConfigMap } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import type { Collection, KubeClient, SourceCollection } from "../../kube/index.ts";
import type { ConfigMapFacts, ConfigMapReference } from "../model/config-map-facts.ts";
import { NamedObjects } from "./named-objects.ts";
import { authorityIn } from "./secret-facts.ts";

export interface ConfigMapIngestOptions {
  readonly client: KubeClient;
  readonly references: readonly Collection<ConfigMapReference>[];
  readonly configMaps: SourceCollection<ConfigMapFacts>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Reads only the ConfigMaps that Gateways and policies name. */
export class ConfigMapIngest {
  readonly #objects: NamedObjects<ConfigMap>;

  constructor({ client, references, configMaps, clock, log }: ConfigMapIngestOptions) {
    this.#objects = new NamedObjects({
      client,
      kind: configMapKind,
      references,
      take: ({ namespace, name }, object) =>
        configMaps.set(
          `${namespace}/${name}`,
          object === undefined ? missingConfigMap(namespace, name) : configMapFacts(object),
        ),
      forget: (key) => configMaps.delete(key),
      knownAbsent: (key) => configMaps.get(key)?.exists === false,
      clock,
      log,
    });
  }

  /** Follows the references, which may change at any time, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#objects.run(signal);
  }
}

export function configMapFacts({ metadata, data = {} }: ConfigMap): ConfigMapFacts {
  return {
    namespace: metadata.namespace ?? "default",
    name: metadata.name ?? "",
    exists: true,
    data,
    authority: authorityIn(data),
  };
}

function missingConfigMap(namespace: string, name: string): ConfigMapFacts {
  return {
    namespace,
    name,
    exists: false,
    data: {},
    authority: { fault: `there is no ConfigMap ${namespace}/${name}` },
  };
}
