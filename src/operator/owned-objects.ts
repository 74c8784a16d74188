import { createHash } from "node:crypto";
import type { Clock, Logger } from "../base/index.ts";
import { keyOf, type KubernetesObject, type UntypedObject } from "../api/index.ts";
import { createInformer, type Informer, type KubeClient } from "../kube/index.ts";
import { installedKindOf, installedKinds } from "../install/index.ts";
import { keptClosed } from "./kept-closed.ts";
import { keptSelector } from "./kept-selector.ts";

export interface OwnedObjectsOptions {
  readonly client: KubeClient;
  /** Matches all objects that the operator writes. */
  readonly labelSelector: string;
  readonly kinds: readonly string[];
  readonly fieldManager: string;
  /** Called when an object appears, changes or is deleted, also by the operator itself. */
  readonly onChange: (object: KubernetesObject, type: "set" | "delete") => void;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Written {
  readonly digest: string;
  /** The object's uid and generation, or its resourceVersion if its kind has no generation. */
  readonly state: string;
}

/**
 * Writes and watches the objects of an operator. Skips a write if neither the wanted nor the actual object has changed
 * since the last write.
 */
export class OwnedObjects {
  readonly #options: OwnedObjectsOptions;
  readonly #informers: ReadonlyMap<string, Informer<UntypedObject>>;
  readonly #written = new Map<string, Written>();

  constructor(options: OwnedObjectsOptions) {
    this.#options = options;
    const { client, labelSelector, clock, log, kinds, onChange } = options;
    const wanted = installedKinds.filter(({ kind }) => kinds.includes(kind));
    this.#informers = new Map(
      wanted.map((kind) => [kind.kind, createInformer(client, kind, { labelSelector, clock, log, transform: slim })]),
    );
    for (const [kind, informer] of this.#informers)
      informer.subscribe(({ object, type }) => onChange({ ...object, kind }, type));
  }

  get synced(): Promise<void>[] {
    return [...this.#informers.values()].map((informer) => informer.synced);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.run(signal)));
  }

  /** The existing objects of a kind, with only their metadata and status. */
  list(kind: string): readonly UntypedObject[] {
    return this.#informers.get(kind)?.list() ?? [];
  }

  async apply(given: UntypedObject): Promise<void> {
    const { client, fieldManager } = this.#options;
    const object = await keptClosed(client, given);
    const key = `${object.kind ?? ""}/${keyOf(object)}`;
    const digest = createHash("sha256").update(JSON.stringify(object)).digest("base64");
    const present = this.#informers.get(object.kind ?? "")?.get(keyOf(object));
    const before = this.#written.get(key);
    if (before?.digest === digest && present !== undefined && before.state === stateOf(present)) return;
    const wanted = await keptSelector(client, object);
    const applied = await client.apply(installedKindOf(object), wanted, { fieldManager, force: true });
    this.#written.set(key, { digest, state: stateOf(applied) });
  }

  forget(object: UntypedObject): void {
    this.#written.delete(`${object.kind ?? ""}/${keyOf(object)}`);
  }
}

function stateOf({ metadata }: KubernetesObject): string {
  return metadata.generation === undefined
    ? (metadata.resourceVersion ?? "")
    : `generation ${metadata.generation} of ${metadata.uid ?? ""}`;
}

function slim({ apiVersion, kind, metadata, status }: UntypedObject): UntypedObject {
  const { managedFields: _managedFields, ...rest } = metadata;
  return {
    ...(apiVersion === undefined ? {} : { apiVersion }),
    ...(kind === undefined ? {} : { kind }),
    metadata: rest,
    status,
  };
}
