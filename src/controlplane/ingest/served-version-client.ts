import { apiVersionOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { aborted, userError } from "../../base/index.ts";
import {
  isKubeCode,
  type ApplyOptions,
  type DeleteOptions,
  type KubeClient,
  type ListOptions,
  type ListResult,
  type RawOptions,
  type RawResponse,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from "../../kube/index.ts";
import type { IsIgnored } from "../../api/pilot-settings/index.ts";

const httpOk = 200;

/**
 * A client that uses the API version which the server serves, because clusters may have an older Gateway API. Of the
 * versions that a kind lists, it uses the first one that is served; these versions must have compatible fields. For a
 * kind that the control plane must not read, this client returns no objects.
 */
export class ServedVersionClient implements KubeClient {
  readonly #client: KubeClient;
  readonly #isIgnored: IsIgnored;
  readonly #served = new Map<string, KindDefinition>();
  /** Discovery requests in progress, by group and version, because many kinds share a group. */
  readonly #requests = new Map<string, Promise<ReadonlySet<string>>>();

  constructor(client: KubeClient, isIgnored: IsIgnored = () => false) {
    this.#client = client;
    this.#isIgnored = isIgnored;
  }

  async get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<Value | undefined> {
    if (this.#isIgnored(kind)) return undefined;
    return await this.#client.get(await this.#servedKind(kind), name, namespace);
  }

  async list<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options?: ListOptions,
  ): Promise<ListResult<Value>> {
    if (this.#isIgnored(kind)) return { items: [], resourceVersion: "0" };
    try {
      return await this.#client.list(await this.#servedKind(kind), options);
    } catch (error) {
      // The CustomResourceDefinition may no longer serve the version, so look it up again next time.
      if (isKubeCode(error, "not-found")) this.#served.delete(keyOfKind(kind));
      throw error;
    }
  }

  async create<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options?: WriteOptions,
  ): Promise<Value> {
    // A controller never sees an object of an ignored kind, so it would create the object again and again.
    if (this.#isIgnored(kind)) throw userError("not-found", `${kind.plural}.${kind.group} is ignored here`);
    const served = await this.#servedKind(kind);
    return await this.#client.create(served, { ...object, apiVersion: apiVersionOf(served) }, options);
  }

  async update<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options?: WriteOptions,
  ): Promise<Value> {
    const served = await this.#servedKind(kind);
    return await this.#client.update(served, { ...object, apiVersion: apiVersionOf(served) }, options);
  }

  async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    options?: WriteOptions,
  ): Promise<Value> {
    return await this.#client.patchMerge(await this.#servedKind(kind), name, namespace, patch, options);
  }

  async apply<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options: ApplyOptions,
  ): Promise<Value> {
    const served = await this.#servedKind(kind);
    return await this.#client.apply(served, { ...object, apiVersion: apiVersionOf(served) }, options);
  }

  async delete(kind: KindDefinition, name: string, namespace?: string, options?: DeleteOptions): Promise<void> {
    await this.#client.delete(await this.#servedKind(kind), name, namespace, options);
  }

  async *watch<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    if (this.#isIgnored(kind)) {
      if (options.signal !== undefined) await aborted(options.signal);
      return;
    }
    yield* this.#client.watch(await this.#servedKind(kind), options);
  }

  async raw(method: string, path: string, options?: RawOptions): Promise<RawResponse> {
    return await this.#client.raw(method, path, options);
  }

  /** Puts the served version of a kind first. Returns the kind unchanged while no version is served. */
  async #servedKind<Value extends KubernetesObject>(kind: KindDefinition<Value>): Promise<KindDefinition<Value>> {
    if (kind.versions.length === 1) return kind;
    const key = keyOfKind(kind);
    const known = this.#served.get(key);
    if (known !== undefined) return known as unknown as KindDefinition<Value>;
    for (const version of kind.versions) {
      if (!(await this.#serves(kind.group, version, kind.plural))) continue;
      const served: KindDefinition<Value> = { ...kind, versions: [version] };
      this.#served.set(key, served);
      return served;
    }
    return kind;
  }

  async #serves(group: string, version: string, plural: string): Promise<boolean> {
    const path = `/apis/${group}/${version}`;
    let request = this.#requests.get(path);
    if (request === undefined) {
      request = this.#resourcesOf(path).finally(() => this.#requests.delete(path));
      this.#requests.set(path, request);
    }
    return (await request).has(plural);
  }

  async #resourcesOf(path: string): Promise<ReadonlySet<string>> {
    try {
      const answer = await this.#client.raw("GET", path);
      if (answer.status !== httpOk) return new Set();
      const { resources = [] } = JSON.parse(answer.text) as { resources?: { name: string }[] };
      return new Set(resources.map(({ name }) => name));
    } catch (error) {
      if (isKubeCode(error, "not-found")) return new Set();
      throw error;
    }
  }
}

function keyOfKind(kind: Pick<KindDefinition, "group" | "plural">): string {
  return `${kind.plural}.${kind.group}`;
}
