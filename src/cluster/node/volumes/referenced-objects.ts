import type { KindDefinition, KubernetesObject } from "../../../api/index.ts";
import {
  configMapKind,
  persistentVolumeClaimKind,
  secretKind,
  type ConfigMap,
  type PersistentVolumeClaim,
  type Pod,
  type Secret,
} from "../../../api/kubernetes/index.ts";
import { transientError, type Clock, type Logger } from "../../../base/index.ts";
import { createInformer, type Informer, type KubeClient } from "../../../kube/index.ts";
import { podReferences, type ReferencedKind } from "../../record/pod-references.ts";

export interface ReferencedObjectsOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when an object was read or has changed, with the uid of each pod that refers to it. */
  readonly changed: (uid: string) => void;
  readonly maxObjects?: number;
}

interface ObjectOf {
  readonly configMap: ConfigMap;
  readonly persistentVolumeClaim: PersistentVolumeClaim;
  readonly secret: Secret;
}

interface Followed {
  readonly informer: Informer<KubernetesObject>;
  readonly end: AbortController;
  /** The uids of the pods that refer to the object. */
  readonly users: Set<string>;
  isRead: boolean;
}

const kinds: Readonly<Record<ReferencedKind, KindDefinition>> = {
  configMap: configMapKind,
  persistentVolumeClaim: persistentVolumeClaimKind,
  secret: secretKind,
};

/**
 * The maximum number of watched objects. Each takes one of the 1,000 streams that the API server accepts on the node's
 * connection. The other streams are for the node's own watches and writes. Without this limit, pods that refer to many
 * objects could prevent the node from reporting its status.
 */
const defaultMaxObjects = 700;

/**
 * The ConfigMaps, Secrets and claims to which a node's pods refer. Each is watched by its name while a pod refers to
 * it, because the Node authorizer forbids watching whole collections.
 */
export class ReferencedObjects {
  readonly #options: ReferencedObjectsOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #referencesOfPods = new Map<string, readonly Reference[]>();

  constructor(options: ReferencedObjectsOptions) {
    this.#options = options;
  }

  /**
   * Watches the objects to which the pod refers. Ends the watches of objects to which only the pod's earlier state
   * referred.
   */
  follow(pod: Pod): void {
    const { uid = "" } = pod.metadata;
    const references = referencesOf(pod);
    const keys = new Set(references.map(({ key }) => key));
    for (const reference of references) this.#use(uid, reference);
    const before = this.#referencesOfPods.get(uid) ?? [];
    this.#referencesOfPods.set(uid, references);
    for (const { key } of before) if (!keys.has(key)) this.#release(uid, key);
  }

  /** Ends the watches of objects to which only this pod refers. Call this when the pod is gone. */
  forget(uid: string): void {
    const references = this.#referencesOfPods.get(uid) ?? [];
    this.#referencesOfPods.delete(uid);
    for (const { key } of references) this.#release(uid, key);
  }

  end(): void {
    this.#referencesOfPods.clear();
    for (const { end } of this.#followed.values()) end.abort();
    this.#followed.clear();
  }

  /**
   * Returns the referenced object, or undefined if it does not exist. Throws a transient error while it is unknown
   * whether the object exists.
   */
  get<Kind extends ReferencedKind>(kind: Kind, namespace: string, name: string): ObjectOf[Kind] | undefined {
    const followed = this.#followed.get(keyOf(kind, namespace, name));
    if (followed?.isRead === true) return followed.informer.get(`${namespace}/${name}`);
    const subject = `${kinds[kind].kind.toLowerCase()} "${name}"`;
    const why =
      followed === undefined && this.#isFull
        ? `is not watched, because the node already watches ${this.#followed.size} objects for its pods; let the pods of this node refer to fewer ConfigMaps, Secrets and claims, or use another node`
        : "is not read yet";
    throw transientError("volume-source-missing", `${subject} ${why}`);
  }

  get #isFull(): boolean {
    return this.#followed.size >= (this.#options.maxObjects ?? defaultMaxObjects);
  }

  #use(uid: string, { key, kind, namespace, name }: Reference): void {
    const known = this.#followed.get(key);
    if (known !== undefined) {
      known.users.add(uid);
      return;
    }
    if (this.#isFull) return;
    const { client, clock, log, changed } = this.#options;
    const informer = createInformer<KubernetesObject>(client, kinds[kind], {
      clock,
      log,
      streamsList: true,
      namespace,
      fieldSelector: `metadata.name=${name}`,
    });
    const followed: Followed = { informer, end: new AbortController(), users: new Set([uid]), isRead: false };
    this.#followed.set(key, followed);
    const tell = (): void => {
      if (followed.isRead) for (const user of followed.users) changed(user);
    };
    informer.subscribe(tell);
    void informer.synced.then(() => {
      followed.isRead = true;
      tell();
    });
    void informer.run(followed.end.signal);
  }

  #release(uid: string, key: string): void {
    const followed = this.#followed.get(key);
    if (followed?.users.delete(uid) !== true || followed.users.size > 0) return;
    const wasFull = this.#isFull;
    this.#followed.delete(key);
    followed.end.abort();
    if (!wasFull) return;
    for (const [user, references] of this.#referencesOfPods)
      for (const reference of references) this.#use(user, reference);
  }
}

interface Reference {
  readonly key: string;
  readonly kind: ReferencedKind;
  readonly namespace: string;
  readonly name: string;
}

function referencesOf(pod: Pod): Reference[] {
  const { namespace = "" } = pod.metadata;
  const { configMap, persistentVolumeClaim, secret } = podReferences(pod);
  const of = (kind: ReferencedKind, names: ReadonlySet<string>): Reference[] =>
    [...names].map((name) => ({ key: keyOf(kind, namespace, name), kind, namespace, name }));
  return [
    ...of("configMap", configMap),
    ...of("persistentVolumeClaim", persistentVolumeClaim),
    ...of("secret", secret),
  ];
}

function keyOf(kind: ReferencedKind, namespace: string, name: string): string {
  return `${kind} ${namespace}/${name}`;
}
