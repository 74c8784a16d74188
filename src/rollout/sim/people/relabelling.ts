import type { ObjectReference, RolloutStatus } from "../../../api/serin/index.ts";
import { referenceKey } from "../../decide/index.ts";
import { reference } from "../../plan/index.ts";
import type { ModelCluster } from "../model-cluster.ts";
import { rememberedMap } from "../remembered.ts";
import { isSidecarWorkload, meshNames, podRev, rev } from "../sim-mesh.ts";

/** The keys of the nodes and workloads whose revision label a person wrote last. They keep the label after an undo. */
export function labelledByPeople(cluster: ModelCluster): readonly string[] {
  return [...cluster.objects].flatMap(
    ([
      key,
      {
        reference: { kind },
        writers,
      },
    ]) => (writers.get(kind === "Node" ? rev : podRev) === "somebody" ? [key] : []),
  );
}

interface Relabelled {
  readonly object: ObjectReference;
  readonly pointer: string;
  readonly before: unknown;
}

/**
 * A person who labels the objects that a status names with another revision, and takes the labels back when an undo
 * waits for that.
 */
export class Relabelling {
  readonly #cluster: ModelCluster;
  readonly #relabelled = new Map<string, Relabelled>();

  constructor(cluster: ModelCluster) {
    this.#cluster = cluster;
  }

  backup(): () => void {
    return rememberedMap(this.#relabelled);
  }

  follow({ message }: Pick<RolloutStatus, "message">): void {
    const [, to] = /: point it to (\S+?)(;|$)/.exec(message) ?? [];
    if (to !== undefined)
      for (const [, kind = "", name = ""] of message.matchAll(/(Namespace|pod of|pod) ([\w-]+)/g))
        this.#point(kind, name, to);
    if (/^the undo waits for .*(is still owned by|pods still run at) /.test(message)) this.#takeBack();
  }

  /** Labels a namespace, a workload's template, or for a pod the node whose ztunnel serves it. */
  #point(kind: string, name: string, to: string): void {
    const workload = [...this.#cluster.objects.values()].find(
      (object) => object.reference.name === name && isSidecarWorkload(name),
    )?.reference;
    const node = meshNames(name.slice(name.lastIndexOf("-") + 1)).node;
    const object = kind === "Namespace" ? reference("v1", "Namespace", name) : kind === "pod" ? node : workload;
    const found = object === undefined ? undefined : this.#cluster.find(object);
    const pointer = kind === "pod of" ? podRev : rev;
    if (found === undefined || found.fields.get(pointer) === to) return;
    const key = `${referenceKey(found.reference)} ${pointer}`;
    if (!this.#relabelled.has(key))
      this.#relabelled.set(key, { object: found.reference, pointer, before: found.fields.get(pointer) });
    this.#cluster.setField(found, pointer, to, "somebody");
  }

  #takeBack(): void {
    for (const { object, pointer, before } of this.#relabelled.values()) {
      const found = this.#cluster.find(object);
      if (found !== undefined) this.#cluster.setField(found, pointer, before, "somebody");
    }
    this.#relabelled.clear();
  }
}
