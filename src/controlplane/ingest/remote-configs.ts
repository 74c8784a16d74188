import { keyOf } from "../../api/index.ts";
import { secretKind, type Secret } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, type Informer, type KubeClient } from "../../kube/index.ts";

export interface RemoteConfig {
  /** The Secret's `namespace/name`, or the file's path in its folder. */
  readonly key: string;
  /** The texts of kubeconfigs, by cluster id. */
  readonly kubeconfigs: ReadonlyMap<string, string>;
}

export interface RemoteConfigChange {
  readonly type: "add" | "update" | "delete";
  /** A deleted config has no kubeconfigs. */
  readonly config: RemoteConfig;
}

export interface RemoteConfigSource {
  /** The word for one config in messages. */
  readonly noun: "secret" | "file";
  /** Resolves when all configs have been read and subscribers have seen them. */
  readonly synced: Promise<void>;
  list(): readonly RemoteConfig[];
  /** Whether some config is unreadable, so that it is not known which clusters it names. */
  readonly hasUnreadable: boolean;
  get(key: string): RemoteConfig | undefined;
  /** Calls `take` for all present configs, then for their changes. */
  subscribe(take: (change: RemoteConfigChange) => void): Disposable;
  run(signal: AbortSignal): Promise<void>;
}

export interface SecretConfigsOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const secretLabel = "istio/multiCluster";

/** The Secrets with the label `istio/multiCluster=true`. Their data maps cluster ids to kubeconfigs. */
export class SecretConfigs implements RemoteConfigSource {
  readonly noun = "secret";
  readonly hasUnreadable = false;
  readonly #namespace: string;
  readonly #secrets: Informer<Secret>;

  constructor({ client, namespace, clock, log }: SecretConfigsOptions) {
    this.#namespace = namespace;
    const labelSelector = `${secretLabel}=true`;
    this.#secrets = createInformer<Secret>(client, secretKind, { namespace, labelSelector, log, clock });
  }

  get synced(): Promise<void> {
    return this.#secrets.synced;
  }

  list(): readonly RemoteConfig[] {
    return this.#secrets.list().map((secret) => configOf(keyOf(secret), secret));
  }

  get(key: string): RemoteConfig | undefined {
    const secret = this.#secrets.get(key);
    return secret === undefined ? undefined : configOf(key, secret);
  }

  subscribe(take: (change: RemoteConfigChange) => void): Disposable {
    return this.#secrets.subscribe((change) => {
      const { metadata } = change.object;
      if (metadata.namespace !== this.#namespace || metadata.labels?.[secretLabel] !== "true") return;
      if (change.type === "delete") take({ type: "delete", config: withoutKubeconfigs(change.key) });
      else
        take({
          type: change.previous === undefined ? "add" : "update",
          config: configOf(change.key, change.object),
        });
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#secrets.run(signal);
  }
}

function configOf(key: string, { data = {} }: Secret): RemoteConfig {
  const decoded = Object.entries(data).map(([id, text]) => [id, Buffer.from(text, "base64").toString("utf8")] as const);
  return { key, kubeconfigs: new Map(decoded) };
}

export function withoutKubeconfigs(key: string): RemoteConfig {
  return { key, kubeconfigs: new Map() };
}
