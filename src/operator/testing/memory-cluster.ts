import {
  apiVersionOf,
  keyOf,
  matchesLabelSelector,
  type KindDefinition,
  type KubernetesObject,
  type LabelSelector,
} from "../../api/index.ts";
import { jsonEqual, transientError, treeAt, userError } from "../../base/index.ts";
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
} from "../../kube/index.ts";

type Stored = KubernetesObject & Record<string, unknown>;

interface Change {
  readonly kind: string;
  readonly version: number;
  readonly object: Stored;
  readonly isDeletion: boolean;
}

/**
 * A cluster in memory with the features that installers use. Applied workloads are ready at once, except those in
 * {@link held}. Webhook configurations get a CA at once.
 */
export class MemoryCluster implements KubeClient {
  /** The writes in order, for example `apply Deployment/istio-system/istiod`. */
  readonly writes: string[] = [];
  /** The requests that access reviews deny, as `verb plural`. */
  readonly denied = new Set<string>();
  /** The workloads that do not become ready, such as `Deployment/istio-system/istiod`. */
  readonly held = new Set<string>();
  /** Called before each write. May throw. */
  onWrite: (write: string) => void = () => undefined;
  readonly #objects = new Map<string, Stored>();
  readonly #changes: Change[] = [];
  readonly #watchers = new Set<() => void>();
  #version = 0;

  put(kind: string, object: KubernetesObject): Stored {
    const key = `${kind}/${keyOf(object)}`;
    const known = this.#objects.get(key);
    this.#version += 1;
    const generation =
      known === undefined
        ? 1
        : (known.metadata.generation ?? 1) + (specOf({ ...known, ...object }) === specOf(known) ? 0 : 1);
    const metadata = {
      ...known?.metadata,
      ...object.metadata,
      uid: known?.metadata.uid ?? `uid-${this.#version}`,
      resourceVersion: String(this.#version),
      generation,
    };
    const stored = { ...known, ...object, kind, metadata: presentFields(metadata) } as Stored;
    const isOver = metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0;
    if (isOver) this.#objects.delete(key);
    else this.#objects.set(key, stored);
    this.#changed({ kind, version: this.#version, object: stored, isDeletion: isOver });
    return stored;
  }

  release(kind: "Deployment" | "DaemonSet", namespace: string, name: string): void {
    this.held.delete(`${kind}/${namespace}/${name}`);
    const found = this.find(kind, name, namespace);
    if (found !== undefined)
      this.put(kind, { ...found, status: readyStatus(kind, found.metadata.generation ?? 1) } as KubernetesObject);
  }

  #changed(change: Change): void {
    this.#changes.push(change);
    for (const wake of this.#watchers) wake();
  }

  names(kind: string): string[] {
    return [...this.#objects.keys()]
      .filter((key) => key.startsWith(`${kind}/`))
      .map((key) => key.slice(kind.length + 1))
      .toSorted();
  }

  find(kind: string, name: string, namespace?: string): Stored | undefined {
    return this.#objects.get(`${kind}/${namespace === undefined || namespace === "" ? name : `${namespace}/${name}`}`);
  }

  async get<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace?: string,
  ): Promise<Value | undefined> {
    return this.find(kind.kind, name, namespace) as unknown as Value | undefined;
  }

  async list<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    options: ListOptions = {},
  ): Promise<ListResult<Value>> {
    const selector = parseSelector(options.labelSelector ?? "");
    const items = [...this.#objects.entries()]
      .filter(
        ([key, { metadata }]) =>
          key.startsWith(`${kind.kind}/`) &&
          (options.namespace === undefined || metadata.namespace === options.namespace) &&
          matchesLabelSelector(selector, metadata.labels),
      )
      .map(([, object]) => object);
    return { items: items as unknown as Value[], resourceVersion: String(this.#version) };
  }

  async create<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    if (this.find(kind.kind, object.metadata.name ?? "", object.metadata.namespace) !== undefined)
      throw userError("already-exists", `${keyOf(object)} is there already`);
    return this.put(kind.kind, object) as unknown as Value;
  }

  async update<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    const known = this.find(kind.kind, object.metadata.name ?? "", object.metadata.namespace);
    if (known?.metadata.resourceVersion !== object.metadata.resourceVersion)
      throw transientError("conflict", `${keyOf(object)} has changed`);
    return this.put(kind.kind, object) as unknown as Value;
  }

  async patchMerge<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    name: string,
    namespace: string | undefined,
    patch: unknown,
  ): Promise<Value> {
    const known = this.find(kind.kind, name, namespace);
    if (known === undefined) throw userError("not-found", `${name} is not there`);
    this.#note(`patch ${kind.kind}/${keyOf(known)}`);
    const { metadata = {}, ...rest } = patch as {
      metadata?: { labels?: Record<string, string | null>; resourceVersion?: string };
    };
    const labels = { ...known.metadata.labels, ...metadata.labels } as Record<string, string>;
    const merged = mergePatch(known, rest) as Stored;
    return this.put(kind.kind, {
      ...merged,
      metadata: { ...known.metadata, ...metadata, labels: presentFields(labels) },
    }) as unknown as Value;
  }

  async apply<Value extends KubernetesObject>(
    kind: KindDefinition<Value>,
    object: Value,
    options: ApplyOptions,
  ): Promise<Value> {
    if (options.dryRun === true) return object;
    this.#note(`apply ${kind.kind}/${keyOf(object)}`);
    const known = this.find(kind.kind, object.metadata.name ?? "", object.metadata.namespace);
    // Like a real API server, it creates no new version if the write changes nothing.
    if (known !== undefined && hasAll(known, object)) return known as unknown as Value;
    if (changesSelector(known, object))
      throw userError("invalid", `apply of ${kind.kind} ${keyOf(object)}: spec.selector: field is immutable`);
    const stored = this.put(kind.kind, { ...object, apiVersion: apiVersionOf(kind) });
    if ((kind.kind === "Deployment" || kind.kind === "DaemonSet") && !this.held.has(`${kind.kind}/${keyOf(object)}`))
      stored["status"] = readyStatus(kind.kind, stored.metadata.generation ?? 1);
    if (kind.kind === "CustomResourceDefinition")
      stored["status"] = { conditions: [{ type: "Established", status: "True" }] };
    if (kind.kind === "MutatingWebhookConfiguration") {
      stored["webhooks"] = (stored["webhooks"] as { clientConfig: object }[]).map((webhook) => ({
        ...webhook,
        clientConfig: { ...webhook.clientConfig, caBundle: "Q0E=" },
      }));
    }
    return stored as unknown as Value;
  }

  async delete(kind: KindDefinition, name: string, namespace?: string, _options?: DeleteOptions): Promise<void> {
    const key = `${kind.kind}/${namespace === undefined ? name : `${namespace}/${name}`}`;
    this.#note(`delete ${key}`);
    const known = this.#objects.get(key);
    if (known !== undefined)
      this.put(kind.kind, {
        ...known,
        metadata: { ...known.metadata, deletionTimestamp: known.metadata.deletionTimestamp ?? "2026-01-01T00:00:00Z" },
      });
  }

  async *watch<Value extends KubernetesObject>(
    { kind }: KindDefinition<Value>,
    { resourceVersion, labelSelector = "", signal }: WatchOptions,
  ): AsyncIterable<WatchEvent<Value>> {
    const selector = parseSelector(labelSelector);
    const seen = new Set<string>();
    let at = this.#changes.findIndex(({ version }) => version > Number(resourceVersion));
    if (at === -1) at = this.#changes.length;
    const isOver = (): boolean => signal?.aborted === true;
    while (!isOver()) {
      const change = this.#changes[at];
      if (change === undefined) {
        await this.#nextChange(signal);
        continue;
      }
      at += 1;
      if (change.kind !== kind || !matchesLabelSelector(selector, change.object.metadata.labels)) continue;
      const key = keyOf(change.object);
      const type = change.isDeletion ? "DELETED" : seen.has(key) ? "MODIFIED" : "ADDED";
      seen.add(key);
      yield { type, object: change.object as unknown as Value };
    }
  }

  async #nextChange(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#watchers.add(resolve);
    signal?.addEventListener("abort", () => resolve(), { once: true });
    await promise.finally(() => this.#watchers.delete(resolve));
  }

  async raw(_method: string, path: string, options?: RawOptions): Promise<RawResponse> {
    if (!path.endsWith("/selfsubjectaccessreviews")) throw userError("not-found", `${path} is not known here`);
    const { resource, verb } = (
      (options ?? {}).body as { spec: { resourceAttributes: { resource: string; verb: string } } }
    ).spec.resourceAttributes;
    const allowed = resource === "*" ? this.denied.size === 0 : !this.denied.has(`${verb} ${resource}`);
    return { status: 201, headers: {}, text: JSON.stringify({ status: { allowed } }) };
  }

  #note(write: string): void {
    this.onWrite(write);
    this.writes.push(write);
  }
}

function changesSelector(known: Stored | undefined, object: KubernetesObject): boolean {
  const [before, after] = [treeAt(known, "spec", "selector"), treeAt(object, "spec", "selector")];
  const isWorkload = known?.kind === "Deployment" || known?.kind === "DaemonSet";
  return isWorkload && before !== undefined && !jsonEqual(before, after);
}

/** Whether a stored object already has every field of an applied one. */
function hasAll(known: Stored, object: KubernetesObject): boolean {
  return (
    specOf({ ...known, ...object }) === specOf(known) &&
    JSON.stringify({ ...known.metadata, ...object.metadata }) === JSON.stringify(known.metadata)
  );
}

/** The fields whose changes increment an object's generation. */
function specOf({ metadata: _metadata, status: _status, ...rest }: Stored): string {
  return JSON.stringify(rest, (_key, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([key]) => key !== "caBundle")
            .toSorted(([a], [b]) => (a < b ? -1 : 1)),
        )
      : value,
  );
}

function readyStatus(kind: "Deployment" | "DaemonSet", observedGeneration: number): object {
  return kind === "Deployment"
    ? { observedGeneration, replicas: 1, updatedReplicas: 1, availableReplicas: 1 }
    : { observedGeneration, desiredNumberScheduled: 1, updatedNumberScheduled: 1, numberAvailable: 1 };
}

/** Applies a merge patch (RFC 7386). */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> = { ...(typeof target === "object" && !Array.isArray(target) ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

function presentFields<Fields extends object>(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== null && value !== undefined),
  ) as Fields;
}

/** Parses a label selector in the forms that installers use: `a=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`. */
function parseSelector(text: string): LabelSelector {
  const matchExpressions = (text.match(/[^,(]+(\([^)]*\))?/g) ?? []).map((part) => {
    const [, setKey = "", operator, list = ""] = /^(\S+) (in|notin) \((.*)\)$/.exec(part.trim()) ?? [];
    if (operator !== undefined)
      return {
        key: setKey,
        operator: operator === "in" ? ("In" as const) : ("NotIn" as const),
        values: list.split(","),
      };
    if (part.startsWith("!")) return { key: part.slice(1), operator: "DoesNotExist" as const };
    const [key = "", value] = part.split("=");
    return value === undefined
      ? { key, operator: "Exists" as const }
      : { key, operator: "In" as const, values: [value] };
  });
  return { matchExpressions };
}
