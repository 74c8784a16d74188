import { apiVersionOf, keyOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { transientError, userError } from "../../base/index.ts";
import type {
  ApplyOptions,
  DeleteOptions,
  KubeClient,
  ListResult,
  RawOptions,
  RawResponse,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "../../kube/index.ts";

type Handler = (event: WatchEvent<KubernetesObject>) => void;

/** Behaves like an API server, as far as the control plane uses it: objects, versions, watches, token reviews. */
export class FakeKubeClient implements KubeClient {
  /** The user name and pod of each token. A token is valid for the requested audiences unless it names its own. */
  readonly tokens = new Map<
    string,
    {
      readonly username: string;
      readonly pod: string;
      readonly podUid?: string;
      readonly audiences?: readonly string[];
    }
  >();
  readonly secretReaders = new Set<string>();
  accessReviews = 0;
  readonly #objects = new Map<string, Map<string, KubernetesObject>>();
  readonly #watchers = new Map<string, Set<Handler>>();
  #version = 0;

  put(kind: KindDefinition, object: KubernetesObject): KubernetesObject {
    const known = this.#of(kind).get(keyOf(object));
    const { metadata } = object;
    const sameSpec =
      JSON.stringify({ ...known, metadata: 0, status: 0 }) === JSON.stringify({ ...object, metadata: 0, status: 0 });
    this.#version += 1;
    const stored: KubernetesObject = {
      ...object,
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      metadata: {
        ...metadata,
        uid: known?.metadata.uid ?? `uid-${this.#version}`,
        resourceVersion: String(this.#version),
        generation: known === undefined ? 1 : (known.metadata.generation ?? 1) + (sameSpec ? 0 : 1),
        creationTimestamp: known?.metadata.creationTimestamp ?? "2026-01-01T00:00:00Z",
      },
    };
    this.#of(kind).set(keyOf(object), stored);
    this.#tell(kind, { type: known === undefined ? "ADDED" : "MODIFIED", object: stored });
    return stored;
  }

  async get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<Value | undefined> {
    return this.#of(kind).get(namespace === undefined ? name : `${namespace}/${name}`) as Value | undefined;
  }

  async list<Value extends KubernetesObject>(kind: KindDefinition<Value>): Promise<ListResult<Value>> {
    return { items: [...this.#of(kind).values()] as Value[], resourceVersion: String(this.#version) };
  }

  async create<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    if (this.#of(kind).has(keyOf(object))) throw userError("already-exists", `${keyOf(object)} is there already`);
    return this.put(kind, object) as Value;
  }

  async update<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    this.#refuseStale(kind, keyOf(object), object.metadata.resourceVersion);
    return this.put(kind, object) as Value;
  }

  async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    _options?: WriteOptions,
  ): Promise<Value> {
    const key = namespace === undefined ? name : `${namespace}/${name}`;
    const known = this.#of(kind).get(key);
    if (known === undefined) throw userError("not-found", `${key} is not there`);
    const { metadata, ...rest } = patch as { metadata?: { resourceVersion?: string } };
    this.#refuseStale(kind, key, metadata?.resourceVersion);
    return this.put(kind, merged(known, { ...rest, metadata }) as KubernetesObject) as Value;
  }

  async apply<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    _options: ApplyOptions,
  ): Promise<Value> {
    const known = this.#of(kind).get(keyOf(object));
    return this.put(kind, { ...known, ...object, metadata: { ...known?.metadata, ...object.metadata } }) as Value;
  }

  async delete(kind: KindDefinition, name: string, namespace?: string, options: DeleteOptions = {}): Promise<void> {
    const key = namespace === undefined ? name : `${namespace}/${name}`;
    const known = this.#of(kind).get(key);
    if (known === undefined) return;
    this.#refuseStale(kind, key, options.preconditions?.resourceVersion);
    this.#of(kind).delete(key);
    this.#version += 1;
    this.#tell(kind, {
      type: "DELETED",
      object: { ...known, metadata: { ...known.metadata, resourceVersion: String(this.#version) } },
    });
  }

  async *watch<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    const events: WatchEvent<KubernetesObject>[] = [...this.#of(kind).values()]
      .filter((object) => Number(object.metadata.resourceVersion) > Number(options.resourceVersion))
      .map((object) => ({ type: "MODIFIED", object }));
    let wake: () => void = () => undefined;
    const handler: Handler = (event) => {
      events.push(event);
      wake();
    };
    const watchers = this.#watchers.get(kind.plural) ?? new Set();
    this.#watchers.set(kind.plural, watchers.add(handler));
    options.signal?.addEventListener("abort", () => wake());
    try {
      while (options.signal?.aborted !== true) {
        const event = events.shift();
        if (event !== undefined) yield event as WatchEvent<Value>;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      watchers.delete(handler);
    }
  }

  async raw(method: string, path: string, options?: RawOptions): Promise<RawResponse> {
    if (method === "POST" && path.endsWith("/subjectaccessreviews")) {
      this.accessReviews += 1;
      const { spec } = (options?.body ?? {}) as { spec: { user: string } };
      return {
        status: 201,
        headers: {},
        text: JSON.stringify({ status: { allowed: this.secretReaders.has(spec.user) } }),
      };
    }
    if (method !== "POST" || !path.endsWith("/tokenreviews"))
      throw userError("not-found", `${method} ${path} is not known here`);
    const { spec } = (options?.body ?? {}) as { spec: { token: string; audiences: string[] } };
    const user = this.tokens.get(spec.token);
    const status =
      user === undefined
        ? { authenticated: false }
        : {
            authenticated: true,
            audiences: user.audiences ?? spec.audiences,
            user: {
              username: user.username,
              groups: user.username.startsWith("system:serviceaccount:")
                ? ["system:serviceaccounts", "system:authenticated"]
                : [],
              extra: {
                "authentication.kubernetes.io/pod-name": [user.pod],
                ...(user.podUid === undefined ? {} : { "authentication.kubernetes.io/pod-uid": [user.podUid] }),
              },
            },
          };
    return { status: 201, headers: {}, text: JSON.stringify({ status }) };
  }

  #of(kind: Pick<KindDefinition, "plural" | "group">): Map<string, KubernetesObject> {
    const key = `${kind.plural}.${kind.group}`;
    let objects = this.#objects.get(key);
    if (objects === undefined) this.#objects.set(key, (objects = new Map()));
    return objects;
  }

  #refuseStale(kind: Pick<KindDefinition, "plural" | "group">, key: string, resourceVersion: string | undefined): void {
    const known = this.#of(kind).get(key);
    if (resourceVersion !== undefined && known?.metadata.resourceVersion !== resourceVersion)
      throw transientError("conflict", `${key} has changed`);
  }

  #tell(kind: KindDefinition, event: WatchEvent<KubernetesObject>): void {
    for (const handler of this.#watchers.get(kind.plural) ?? []) handler(event);
  }
}

/** A merge patch (RFC 7386): objects are merged, null removes a field, and any other value replaces it. */
function merged(value: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
  for (const [name, part] of Object.entries(patch)) {
    if (part === undefined) continue;
    if (part === null) delete result[name];
    else result[name] = merged(result[name], part);
  }
  return result;
}
