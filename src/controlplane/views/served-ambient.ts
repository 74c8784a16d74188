import type { CollectionGraph } from "../../kube/index.ts";
import { watchForAmbient, type MeshInputs, type Waypoints } from "../model/index.ts";
import { deriveAmbientResources, type AmbientResources } from "../translate/index.ts";

/**
 * Ztunnels' resources. They are derived when the first ambient object appears in the mesh, so that the first ztunnel
 * does not wait, or when the first client requests them. So a mesh of sidecars pays for them neither at start nor at
 * each change. Derived collections stay, because ambient objects may appear again. This object must be created before
 * the first write to the inputs.
 */
export class ServedAmbient {
  readonly #graph: CollectionGraph;
  readonly #inputs: MeshInputs;
  readonly #waypoints: Waypoints;
  readonly #watching: Disposable;
  #resources: AmbientResources | undefined;

  constructor(graph: CollectionGraph, inputs: MeshInputs, waypoints: Waypoints) {
    this.#graph = graph;
    this.#inputs = inputs;
    this.#waypoints = waypoints;
    this.#watching = watchForAmbient(inputs, waypoints, () => void this.resources());
  }

  /**
   * The resources, which are up to date from now on. If this is called while the graph notifies its subscribers, they
   * are complete only when the graph has settled.
   */
  resources(): AmbientResources {
    if (this.#resources !== undefined) return this.#resources;
    this.#watching[Symbol.dispose]();
    this.#resources = deriveAmbientResources(this.#graph, this.#inputs, this.#waypoints);
    this.#graph.settle();
    return this.#resources;
  }
}
