import type { KubernetesObject } from "../api/index.ts";

/**
 * A local copy of the objects of one kind, updated by list and watch. `run` returns when the signal aborts. It recovers
 * from restarts of the server and from status 410. Handlers are called for one change at a time, in order.
 */
export interface Informer<Value extends KubernetesObject> {
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when the first list has been delivered to the handlers, or when the kind is treated as empty. */
  readonly synced: Promise<void>;
  /** Returns an object by its key: `namespace/name`, or `name` for a cluster-scoped object. */
  get(key: string): Value | undefined;
  list(): readonly Value[];
  /** Calls the handler for every existing object, and then for every change. */
  subscribe(handler: (change: InformerChange<Value>) => void): Disposable;
}

export type InformerChange<Value> =
  | { readonly type: "set"; readonly key: string; readonly object: Value; readonly previous: Value | undefined }
  | { readonly type: "delete"; readonly key: string; readonly object: Value };
