import { transientError, userError } from "../../../base/index.ts";
import { keyOf, type KindDefinition, type KubernetesObject } from "../../../api/index.ts";
import type { KubeClient, WatchEvent, WatchOptions } from "../../../kube/index.ts";

type Watcher = (event: WatchEvent<KubernetesObject>) => void;

/** An API server in memory with lists and watches, which can become unreachable. */
export class SmallCluster {
  readonly #objects = new Map<string, Map<string, KubernetesObject>>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  /** The plurals of kinds that it refuses to list. */
  readonly forbidden = new Set<string>();
  isAway = false;
  #version = 1;

  set(kind: KindDefinition, object: KubernetesObject): void {
    this.#version += 1;
    const versioned = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: object.metadata.uid ?? keyOf(object),
        resourceVersion: String(this.#version),
      },
    };
    const all = this.#of(kind);
    const type = all.has(keyOf(object)) ? "MODIFIED" : "ADDED";
    all.set(keyOf(object), versioned);
    for (const watcher of this.#watchers.get(kind.plural) ?? []) watcher({ type, object: versioned });
  }

  delete(kind: KindDefinition, key: string): void {
    const object = this.#of(kind).get(key);
    if (object === undefined) return;
    this.#of(kind).delete(key);
    for (const watcher of this.#watchers.get(kind.plural) ?? []) watcher({ type: "DELETED", object });
  }

  get client(): KubeClient {
    const refuse = async (): Promise<never> => {
      throw userError("forbidden", "nothing is written here");
    };
    const list: KubeClient["list"] = async (kind) => {
      this.#check(kind);
      return { items: [...this.#of(kind).values()] as never, resourceVersion: String(this.#version) };
    };
    const watch: KubeClient["watch"] = (kind, options) => this.#watch(kind, options) as never;
    const raw: KubeClient["raw"] = async () => {
      if (this.isAway) throw transientError("unreachable", "no connection");
      return { status: 200, headers: {}, text: "{}" };
    };
    return {
      get: refuse,
      list,
      create: refuse,
      update: refuse,
      patchMerge: refuse,
      apply: refuse,
      delete: refuse,
      watch,
      raw,
    };
  }

  #of({ plural, group }: KindDefinition): Map<string, KubernetesObject> {
    const key = `${group}/${plural}`;
    let all = this.#objects.get(key);
    if (all === undefined) this.#objects.set(key, (all = new Map()));
    return all;
  }

  #check({ plural }: KindDefinition): void {
    if (this.isAway) throw transientError("unreachable", "no connection");
    if (this.forbidden.has(plural)) throw userError("forbidden", `you may not list ${plural}`);
  }

  async *#watch(kind: KindDefinition, { signal }: WatchOptions): AsyncIterable<WatchEvent<KubernetesObject>> {
    this.#check(kind);
    const waiting: WatchEvent<KubernetesObject>[] = [];
    let wake: () => void = () => undefined;
    const watcher: Watcher = (event) => {
      waiting.push(event);
      wake();
    };
    const watchers = this.#watchers.get(kind.plural) ?? new Set();
    this.#watchers.set(kind.plural, watchers.add(watcher));
    signal?.addEventListener("abort", () => wake());
    try {
      // oxlint-disable-next-line no-unmodified-loop-condition -- a signal changes by itself
      while (signal?.aborted !== true) {
        const event = waiting.shift();
        if (event !== undefined) yield event;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      watchers.delete(watcher);
    }
  }
}
