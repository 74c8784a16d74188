import type { KubernetesObject } from "../api/index.ts";

/**
 * A local copy of the objects of one kind, kept current by list and watch. `run` blocks until the signal is aborted and
 * survives restarts and 410s of the server by itself. Handlers are called in order, one change at a time.
 */
export interface Informer<Value extends KubernetesObject> {
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when the first list is in and its changes have been delivered. */
  readonly synced: Promise<void>;
  /** By `namespace/name`, or `name`. */
  get(key: string): Value | undefined;
  list(): readonly Value[];
  /** Called for every existing object, then for every change. */
  subscribe(handler: (change: InformerChange<Value>) => void): Disposable;
}

export type InformerChange<Value> =
  | { readonly type: "set"; readonly key: string; readonly object: Value; readonly previous: Value | undefined }
  | { readonly type: "delete"; readonly key: string; readonly object: Value };
