import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { transientError } from "../../base/index.ts";
import type {
  ApplyOptions,
  DeleteOptions,
  KubeClient,
  ListOptions,
  ListResult,
  RawOptions,
  RawResponse,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "../../kube/index.ts";

/**
 * A client that writes only while its lease is certainly held. A process that was suspended may have lost its lease
 * before its timers notice that.
 */
export class FencedClient implements KubeClient {
  readonly #client: KubeClient;
  readonly #holds: () => boolean;

  constructor(client: KubeClient, holds: () => boolean) {
    this.#client = client;
    this.#holds = holds;
  }

  async get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<Value | undefined> {
    return await this.#client.get(kind, name, namespace);
  }

  async list<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options?: ListOptions,
  ): Promise<ListResult<Value>> {
    return await this.#client.list(kind, options);
  }

  async create<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options?: WriteOptions,
  ): Promise<Value> {
    return await this.#writer().create(kind, object, options);
  }

  async update<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options?: WriteOptions,
  ): Promise<Value> {
    return await this.#writer().update(kind, object, options);
  }

  async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    options?: WriteOptions,
  ): Promise<Value> {
    return await this.#writer().patchMerge(kind, name, namespace, patch, options);
  }

  async apply<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options: ApplyOptions,
  ): Promise<Value> {
    return await this.#writer().apply(kind, object, options);
  }

  async delete(kind: KindDefinition, name: string, namespace?: string, options?: DeleteOptions): Promise<void> {
    await this.#writer().delete(kind, name, namespace, options);
  }

  watch<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    return this.#client.watch(kind, options);
  }

  async raw(method: string, path: string, options?: RawOptions): Promise<RawResponse> {
    return await (method === "GET" ? this.#client : this.#writer()).raw(method, path, options);
  }

  #writer(): KubeClient {
    if (!this.#holds())
      throw transientError("not-leading", "another replica may have the lease by now, so nothing is written");
    return this.#client;
  }
}
