import { apiVersionOf, keyOf, matchesLabelSelector, type KindDefinition, type KubernetesObject, type LabelSelector } from "../../api/index.ts";
import { transientError, userError } from "../../base/index.ts";
import type { ApplyOptions, DeleteOptions, KubeClient, ListOptions, ListResult, RawOptions, RawResponse, WatchEvent } from "../../kube/index.ts";

type Stored = KubernetesObject & Record<string, unknown>;

/** A cluster in memory, as far as installers use it. What is applied is ready at once, and istiod writes its CA at once. */
export class MemoryCluster implements KubeClient {
  /** `apply Deployment/istio-system/istiod`, in order. */
  readonly writes: string[] = [];
  /** What may not be done: `verb plural`. */
  readonly denied = new Set<string>();
  /** Called before each write; may throw. */
  onWrite: (write: string) => void = () => undefined;
  readonly #objects = new Map<string, Stored>();
  #version = 0;

  put(kind: string, object: KubernetesObject): Stored {
    const key = `${kind}/${keyOf(object)}`;
    const known = this.#objects.get(key);
    this.#version += 1;
    const metadata = { ...known?.metadata, ...object.metadata, uid: known?.metadata.uid ?? `uid-${this.#version}`, resourceVersion: String(this.#version), generation: 1 };
    const stored = { ...known, ...object, kind, metadata: withoutNulls(metadata) } as Stored;
    this.#objects.set(key, stored);
    return stored;
  }

  names(kind: string): string[] {
    return [...this.#objects.keys()].filter((key) => key.startsWith(`${kind}/`)).map((key) => key.slice(kind.length + 1)).toSorted();
  }

  find(kind: string, name: string, namespace?: string): Stored | undefined {
    return this.#objects.get(`${kind}/${namespace === undefined || namespace === "" ? name : `${namespace}/${name}`}`);
  }

  async get<Value extends KubernetesObject>(kind: KindDefinition<Value>, name: string, namespace?: string): Promise<Value | undefined> {
    return this.find(kind.kind, name, namespace) as unknown as Value | undefined;
  }

  async list<Value extends KubernetesObject>(kind: KindDefinition<Value>, options: ListOptions = {}): Promise<ListResult<Value>> {
    const selector = parseSelector(options.labelSelector ?? "");
    const items = [...this.#objects.entries()]
      .filter(([key, { metadata }]) => key.startsWith(`${kind.kind}/`) && (options.namespace === undefined || metadata.namespace === options.namespace) && matchesLabelSelector(selector, metadata.labels))
      .map(([, object]) => object);
    return { items: items as unknown as Value[], resourceVersion: String(this.#version) };
  }

  async create<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    if (this.find(kind.kind, object.metadata.name ?? "", object.metadata.namespace) !== undefined) throw userError("already-exists", `${keyOf(object)} is there already`);
    return this.put(kind.kind, object) as unknown as Value;
  }

  async update<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    const known = this.find(kind.kind, object.metadata.name ?? "", object.metadata.namespace);
    if (known?.metadata.resourceVersion !== object.metadata.resourceVersion) throw transientError("conflict", `${keyOf(object)} has changed`);
    return this.put(kind.kind, object) as unknown as Value;
  }

  async patchMerge<Value extends KubernetesObject>(kind: KindDefinition<Value>, name: string, namespace: string | undefined, patch: unknown): Promise<Value> {
    const known = this.find(kind.kind, name, namespace);
    if (known === undefined) throw userError("not-found", `${name} is not there`);
    this.#note(`patch ${kind.kind}/${keyOf(known)}`);
    const { metadata = {}, ...rest } = patch as { metadata?: { labels?: Record<string, string | null>; resourceVersion?: string } };
    const labels = { ...known.metadata.labels, ...metadata.labels } as Record<string, string>;
    const status = rest as { status?: object };
    const merged = { ...known, ...rest, ...(status.status === undefined ? {} : { status: withoutNulls({ ...(known["status"] as object), ...status.status }) }) };
    return this.put(kind.kind, { ...merged, metadata: { ...known.metadata, ...metadata, labels: withoutNulls(labels) } }) as unknown as Value;
  }

  async apply<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value, options: ApplyOptions): Promise<Value> {
    if (options.dryRun === true) return object;
    this.#note(`apply ${kind.kind}/${keyOf(object)}`);
    const stored = this.put(kind.kind, { ...object, apiVersion: apiVersionOf(kind) });
    if (kind.kind === "Deployment") stored["status"] = { observedGeneration: 1, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };
    if (kind.kind === "DaemonSet") stored["status"] = { observedGeneration: 1, desiredNumberScheduled: 1, updatedNumberScheduled: 1, numberAvailable: 1 };
    if (kind.kind === "CustomResourceDefinition") stored["status"] = { conditions: [{ type: "Established", status: "True" }] };
    if (kind.kind === "MutatingWebhookConfiguration") {
      stored["webhooks"] = (stored["webhooks"] as { clientConfig: object }[]).map((webhook) => ({ ...webhook, clientConfig: { ...webhook.clientConfig, caBundle: "Q0E=" } }));
    }
    return stored as unknown as Value;
  }

  async delete(kind: KindDefinition, name: string, namespace?: string, _options?: DeleteOptions): Promise<void> {
    const key = `${kind.kind}/${namespace === undefined ? name : `${namespace}/${name}`}`;
    this.#note(`delete ${key}`);
    this.#objects.delete(key);
  }

  // eslint-disable-next-line require-yield
  async *watch<Value extends KubernetesObject>(): AsyncIterable<WatchEvent<Value>> {
    throw transientError("not-here", "this cluster cannot be watched");
  }

  async raw(_method: string, path: string, options?: RawOptions): Promise<RawResponse> {
    if (!path.endsWith("/selfsubjectaccessreviews")) throw userError("not-found", `${path} is not known here`);
    const { resource, verb } = ((options ?? {}).body as { spec: { resourceAttributes: { resource: string; verb: string } } }).spec.resourceAttributes;
    const allowed = resource === "*" ? this.denied.size === 0 : !this.denied.has(`${verb} ${resource}`);
    return { status: 201, headers: {}, text: JSON.stringify({ status: { allowed } }) };
  }

  #note(write: string): void {
    this.onWrite(write);
    this.writes.push(write);
  }
}

function withoutNulls<Fields extends object>(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)) as Fields;
}

/** The forms that installers use: `a=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`. */
function parseSelector(text: string): LabelSelector {
  const matchExpressions = (text.match(/[^,(]+(\([^)]*\))?/g) ?? []).map((part) => {
    const [, setKey = "", operator, list = ""] = /^(\S+) (in|notin) \((.*)\)$/.exec(part.trim()) ?? [];
    if (operator !== undefined) return { key: setKey, operator: operator === "in" ? ("In" as const) : ("NotIn" as const), values: list.split(",") };
    if (part.startsWith("!")) return { key: part.slice(1), operator: "DoesNotExist" as const };
    const [key = "", value] = part.split("=");
    return value === undefined ? { key, operator: "Exists" as const } : { key, operator: "In" as const, values: [value] };
  });
  return { matchExpressions };
}
