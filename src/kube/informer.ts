import type { KubernetesObject } from "../api/index.ts";

/**
 * A local copy of the objects of one kind, kept current by list and watch. `run` blocks until the signal aborts, and
 * recovers from restarts and 410s of the server. Handlers run in order, one change at a time.
 */
export interface Informer<Value extends KubernetesObject> {
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when the first list has been read and delivered. */
  readonly synced: Promise<void>;
  /** Returns an object by its key, which is `namespace/name`, or `name` for a cluster-scoped object. */
  get(key: string): Value | undefined;
  list(): readonly Value[];
  /** Calls the handler for every existing object, and then for every change. */
  subscribe(handler: (change: InformerChange<Value>) => void): Disposable;
}

export type InformerChange<Value> =
  | { readonly type: "set"; readonly key: string; readonly object: Value; readonly previous: Value | undefined }
  | { readonly type: "delete"; readonly key: string; readonly object: Value };
