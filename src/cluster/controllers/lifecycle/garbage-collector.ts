import { groupVersionOf, type KindDefinition, type KubernetesObject, type OwnerReference } from "../../../api/index.ts";
import { customResourceDefinitionKind } from "../../../api/kubernetes/index.ts";
import { aborted, describeError, jsonEqual } from "../../../base/index.ts";
import { createInformer, type InformerChange, type KubeClient, type Reconciler } from "../../../kube/index.ts";
import { ignoreRace, type ControllerContext } from "../controller.ts";
import { discoverKinds } from "./discover-kinds.ts";
import {
  decideCollection,
  graphNodeOf,
  isInReach,
  OwnerGraph,
  type CollectorAction,
  type GraphNode,
} from "./garbage-collector-graph.ts";

/** How long to wait before the kinds are discovered again. CRDs change in bursts: a mesh installs thirty at once. */
const rediscoverAfterMs = 300;
const retryDiscoveryMs = 1_000;
/** Collecting begins after this time, even if the cluster's initial objects cannot be written. */
const longestStartMs = 5_000;
/** Kinds that change all the time and never have owners. */
const ignored = new Set(["/events", "events.k8s.io/events"]);

interface Followed {
  readonly stop: AbortController;
}

/**
 * Deletes objects whose owners are gone. It follows the metadata of every kind of the server, with a client that
 * requests only metadata. For each deleted object, it calls `ended` with the object's namespace.
 */
export function addGarbageCollector(
  context: ControllerContext,
  metadataClient: KubeClient,
  {
    after,
    ended = () => undefined,
  }: {
    /** The watches of all kinds begin after this, so that they do not delay the cluster's initial objects. */
    readonly after?: Promise<void> | undefined;
    readonly ended?: (namespace: string) => void;
  } = {},
): void {
  const collector = new GarbageCollector(context, metadataClient, ended);
  context.runs((signal) => collector.run(signal, after));
}

class GarbageCollector {
  readonly #context: ControllerContext;
  readonly #metadata: KubeClient;
  readonly #ended: (namespace: string) => void;
  readonly #graph = new OwnerGraph();
  readonly #followed = new Map<string, Followed>();
  readonly #queue: Reconciler;
  #rediscover: Disposable | undefined;
  #kinds: readonly KindDefinition<KubernetesObject>[] = [];
  /** Resolves when the graph has been filled for the first time. Before that, owners that exist would look missing. */
  readonly #filled = Promise.withResolvers<void>();
  #signal: AbortSignal | undefined;

  constructor(context: ControllerContext, metadata: KubeClient, ended: (namespace: string) => void) {
    this.#context = context;
    this.#metadata = metadata;
    this.#ended = ended;
    this.#queue = context.queue("garbage-collector", (uid) => this.#collect(uid), {
      concurrency: 8,
      after: [this.#filled.promise],
    });
  }

  async run(signal: AbortSignal, after: Promise<void> | undefined): Promise<void> {
    this.#signal = signal;
    await this.#context.allSynced();
    if (after !== undefined)
      await Promise.race([after, this.#context.clock.sleep(longestStartMs, signal).catch(() => undefined)]);
    await this.#discover();
    await aborted(signal);
    this.#rediscover?.[Symbol.dispose]();
  }

  #discoverSoon(delayMs: number): void {
    this.#rediscover?.[Symbol.dispose]();
    this.#rediscover = this.#context.clock.after(delayMs, () => void this.#discover());
  }

  async #discover(): Promise<void> {
    const signal = this.#signal;
    if (signal === undefined || signal.aborted) return;
    try {
      this.#kinds = await discoverKinds(this.#context.client);
      const kinds = new Map(this.#kinds.map((kind) => [idOf(kind), kind]));
      const synced: Promise<void>[] = [];
      for (const [id, { stop }] of this.#followed) {
        if (kinds.has(id)) continue;
        stop.abort();
        this.#followed.delete(id);
      }
      for (const [id, kind] of kinds)
        if (!this.#followed.has(id) && !ignored.has(id)) synced.push(this.#follow(id, kind, signal));
      await Promise.all(synced);
      this.#filled.resolve();
    } catch (error) {
      this.#context.log.debug("discovery failed", { error: describeError(error) });
      this.#discoverSoon(retryDiscoveryMs);
    }
  }

  #follow(id: string, kind: KindDefinition<KubernetesObject>, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const dependencies = this.#context.dependencies();
    const informer = createInformer(this.#metadata, kind, { ...dependencies, streamsList: true, transform: essential });
    const followed: Followed = { stop };
    this.#followed.set(id, followed);
    const definesKinds = id === idOf(customResourceDefinitionKind);
    informer.subscribe((change) => {
      if (definesKinds && this.#changesKinds(change)) this.#discoverSoon(rediscoverAfterMs);
      const node = graphNodeOf(kind, change.object);
      if (change.type === "set") this.#noteSet(node);
      else this.#noteDeleted(node);
    });
    void informer.run(AbortSignal.any([signal, stop.signal]));
    return informer.synced;
  }

  /** Whether a change of a CRD changes which kinds the server serves. Most changes affect only the CRD's status. */
  #changesKinds(change: InformerChange<KubernetesObject>): boolean {
    const { name = "", generation } = change.object.metadata;
    const dot = name.indexOf(".");
    const isFollowed = this.#followed.has(`${name.slice(dot + 1)}/${name.slice(0, dot)}`);
    if (change.type === "delete") return isFollowed;
    return !isFollowed || (change.previous !== undefined && change.previous.metadata.generation !== generation);
  }

  #noteSet(node: GraphNode): void {
    const before = this.#graph.get(node.uid);
    this.#graph.set(node);
    if (node.owners.length > 0 || node.finalizers.length > 0) this.#queue.add(node.uid);
    if (node.terminating && (before === undefined || !before.terminating))
      for (const dependent of this.#graph.dependentsOf(node.uid)) this.#queue.add(dependent.uid);
    for (const owner of before?.owners ?? []) this.#queue.add(owner.uid);
  }

  #noteDeleted(node: GraphNode): void {
    this.#graph.remove(node.uid);
    this.#ended(node.namespace);
    for (const dependent of this.#graph.dependentsOf(node.uid)) this.#queue.add(dependent.uid);
    // An owner in foreground deletion may wait for the end of this object.
    for (const owner of node.owners) this.#queue.add(owner.uid);
  }

  async #collect(uid: string): Promise<void> {
    const node = this.#graph.get(uid);
    if (node === undefined) return;
    const owners = new Map<string, GraphNode>();
    for (const reference of node.owners) {
      const owner = await this.#resolve(node, reference);
      if (owner !== undefined) owners.set(reference.uid, owner);
    }
    const action = decideCollection(node, this.#graph, (reference) => owners.get(reference.uid));
    const { client } = this.#context;
    const { kind, name, namespace } = node;
    await ignoreRace(async () => {
      if (action.type === "delete") await this.#delete(node, action);
      else if (action.type === "release") {
        await client.patchMerge(kind, name, namespace, { metadata: { uid, ownerReferences: action.keep } });
      } else if (action.type === "finalize") {
        await client.patchMerge(kind, name, namespace, { metadata: { uid, finalizers: action.finalizers } });
      }
    });
  }

  /**
   * Deletes an object if it still has these owners on the server. The watch of its kind may lag behind the watches of
   * its owners' kinds. It may then report too late that the object has lost the reference to a deleted owner.
   */
  async #delete(node: GraphNode, { policy, unblock }: Extract<CollectorAction, { type: "delete" }>): Promise<void> {
    const { client, log } = this.#context;
    const { kind, name, namespace, uid } = node;
    const object = await this.#metadata.get(kind, name, kind.namespaced ? namespace : undefined);
    if (object?.metadata.uid !== uid) return;
    const now = graphNodeOf(kind, object);
    if (now.terminating !== node.terminating || !jsonEqual(now.owners, node.owners)) {
      this.#noteSet(now);
      return;
    }
    const { resourceVersion = "" } = object.metadata;
    if (unblock !== undefined)
      await client.patchMerge(kind, name, namespace, { metadata: { uid, ownerReferences: unblock } });
    await client.delete(kind, name, namespace, {
      preconditions: unblock === undefined ? { uid, resourceVersion } : { uid },
      ...(policy === undefined ? {} : { propagationPolicy: policy }),
    });
    log.debug("collected", { kind: kind.kind, namespace, name });
  }

  /**
   * Returns the owner if it exists. If the graph does not contain it, reads it from the server, because the watch may
   * lag behind.
   */
  async #resolve(node: GraphNode, reference: OwnerReference): Promise<GraphNode | undefined> {
    const known = this.#graph.get(reference.uid);
    if (known !== undefined && isInReach(known, node)) return known;
    const { group, version } = groupVersionOf(reference.apiVersion);
    const kind = await this.#kindOf(group, version, reference.kind);
    // Treat the owner as existing in two cases: the server does not serve its kind, which may come back, or the owner
    // is namespaced and the dependent cluster-wide, because an owner reference names no namespace.
    if (kind === undefined || (kind.namespaced && !node.kind.namespaced))
      return { ...unknownOwner, uid: reference.uid };
    const object = await this.#context.client.get(kind, reference.name, kind.namespaced ? node.namespace : undefined);
    return object === undefined || object.metadata.uid !== reference.uid ? undefined : graphNodeOf(kind, object);
  }

  async #kindOf(group: string, version: string, name: string): Promise<KindDefinition<KubernetesObject> | undefined> {
    const find = (): KindDefinition<KubernetesObject> | undefined =>
      this.#kinds.find((kind) => kind.group === group && kind.kind === name);
    let found = find();
    if (found === undefined) {
      this.#kinds = await discoverKinds(this.#context.client);
      found = find();
    }
    return found === undefined ? undefined : { ...found, versions: [version] };
  }
}

const unknownOwner: Omit<GraphNode, "uid"> = {
  kind: { group: "", versions: [""], kind: "", plural: "", namespaced: false },
  name: "",
  namespace: "",
  owners: [],
  finalizers: [],
  terminating: false,
};

function idOf(kind: KindDefinition): string {
  return `${kind.group}/${kind.plural}`;
}

/** Keeps only the fields that the graph needs, to save memory. */
function essential(object: KubernetesObject): KubernetesObject {
  const { name, namespace, uid, resourceVersion, generation, ownerReferences, finalizers, deletionTimestamp } =
    object.metadata;
  return {
    metadata: {
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(generation === undefined ? {} : { generation }),
      ...(ownerReferences === undefined ? {} : { ownerReferences }),
      ...(finalizers === undefined ? {} : { finalizers }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
  };
}
