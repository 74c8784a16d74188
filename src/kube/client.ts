import type { KindDefinition, KubernetesObject } from "../api/index.ts";
import type { Excerpt } from "./excerpt.ts";

/**
 * A typed client of any Kubernetes API server. Every call may throw a `SerinError`, whose code is the server's reason
 * in kebab-case (`not-found`, `already-exists`, `conflict`, …). The error's kind is `user` for a refusal: 400, 403,
 * 422, and 409 on create and apply. It is `transient` for a fault that may pass: 409 on update (code `conflict`), 429,
 * 5xx, and a failed connection.
 */
export interface KubeClient {
  /** Reads an object. Returns undefined if it does not exist. */
  get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<Value | undefined>;
  /** Lists objects, from all pages of the list. */
  list<Value extends KubernetesObject>(kind: KindDefinition<Value>, options?: ListOptions): Promise<ListResult<Value>>;
  create<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options?: WriteOptions,
  ): Promise<Value>;
  /** Replaces an object. Fails with code `conflict` if `metadata.resourceVersion` is set and stale. */
  update<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options?: WriteOptions,
  ): Promise<Value>;
  /** Applies a merge patch (RFC 7386). */
  patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
    options?: WriteOptions,
  ): Promise<Value>;
  /** Applies an object by server-side apply. Creates the object if it does not exist. */
  apply<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options: ApplyOptions,
  ): Promise<Value>;
  /** Deletes an object. Also resolves if it does not exist. */
  delete(kind: KindDefinition, name: string, namespace?: string, options?: DeleteOptions): Promise<void>;
  /**
   * Makes one watch request that begins at `resourceVersion`. The iteration ends when the server ends the watch. Throws
   * an error with code `gone` on 410.
   */
  watch<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>>;
  /**
   * Makes any other request, such as `raw("GET", "/version")`, a request for logs or a subresource. Body and response
   * are JSON unless `contentType` and `accept` say otherwise. Does not throw for an HTTP status of 300 or more.
   */
  raw(method: string, path: string, options?: RawOptions): Promise<RawResponse>;
}

export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /**
   * The fields of each object that the caller needs. Other fields may be missing. With an excerpt, lists of built-in
   * kinds may come in Kubernetes' binary form, which is much cheaper than JSON for both sides.
   */
  readonly excerpt?: Excerpt;
  /** The maximum number of objects on one page. The default is 500. Small pages need less memory but more requests. */
  readonly pageSize?: number;
}

export interface ListResult<Value> {
  readonly items: readonly Value[];
  readonly resourceVersion: string;
}

export interface WriteOptions {
  readonly fieldManager?: string;
  readonly dryRun?: boolean;
  /** The subresource to write, such as `status` or `scale`. */
  readonly subresource?: string;
}

export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string;
  /** Whether to take fields over from other managers. Otherwise a conflict fails with code `conflict`. */
  readonly force?: boolean;
}

export interface DeleteOptions {
  readonly propagationPolicy?: "Background" | "Foreground" | "Orphan";
  readonly gracePeriodSeconds?: number;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

export interface WatchOptions extends ListOptions {
  readonly resourceVersion: string;
  /**
   * Whether the watch begins with all existing objects, as ADDED, followed by a bookmark. `resourceVersion` must then
   * be empty. Not every server supports this option.
   */
  readonly sendInitialEvents?: boolean;
  readonly signal?: AbortSignal;
}

export type WatchEvent<Value> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: Value }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string; readonly endsInitialEvents?: true };

export interface RawOptions {
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}
