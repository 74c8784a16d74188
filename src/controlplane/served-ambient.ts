import type { CollectionGraph } from "../kube/index.ts";
import { watchForAmbient, type MeshInputs, type Waypoints } from "./model/index.ts";
import { deriveAmbientResources, type AmbientResources } from "./translate/index.ts";

/**
 * What ztunnels are served, derived from when it is needed: from the first sign of ambient in the mesh, so that the first ztunnel does not
 * wait for it, or else from the first client that asks. A mesh of sidecars alone has neither its cost at start nor at each change. Once
 * derived it stays: what goes may come back. Must be made before the first write to the inputs.
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

  /** Complete when it answers, and current from then on; asked for while the graph tells its subscribers, complete when that has settled. */
  resources(): AmbientResources {
    if (this.#resources !== undefined) return this.#resources;
    this.#watching[Symbol.dispose]();
    this.#resources = deriveAmbientResources(this.#graph, this.#inputs, this.#waypoints);
    this.#graph.settle();
    return this.#resources;
  }
}
