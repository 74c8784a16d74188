import { keyOf, type KubernetesObject } from "../../src/api/index.ts";
import { createFeeds } from "../../src/controlplane/ingest/feeds.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";
import { measuredMesh } from "./measured-mesh.ts";
import { SilentClient } from "./silent-client.ts";
import { gateway, sidecar, surroundings, waypoint, ztunnel } from "./surroundings.ts";

/** The small mesh of `surroundings`, served to a sidecar, a gateway, a waypoint and a ztunnel. */
export class ServedSurroundings {
  readonly mesh = measuredMesh();
  readonly #feeds = createFeeds(this.mesh.inputs, "default", (object, issues) => {
    throw new Error(`${keyOf(object)} is refused: ${JSON.stringify(issues).slice(0, 300)}`);
  });
  readonly #clients: readonly SilentClient[];

  constructor() {
    this.mesh.graph.batch(() => this.take(surroundings));
    const node = new SilentClient(this.mesh.discovery, ztunnel, { endpoints: [], routes: [] });
    for (const typeUrl of [typeUrls.address, typeUrls.authorization]) node.subscribe(typeUrl);
    const proxies = [sidecar, gateway, waypoint].map((proxy) => {
      const client = new SilentClient(this.mesh.discovery, proxy, { endpoints: [], routes: ["80", "http.80"] });
      client.subscribe(typeUrls.cluster);
      return client;
    });
    this.#clients = [...proxies, node];
    this.send();
  }

  /** Ingests the objects. Throws if the control plane refuses one. */
  take(objects: readonly KubernetesObject[]): void {
    for (const object of objects) {
      const group = object.apiVersion?.includes("/") === true ? object.apiVersion.split("/")[0] : undefined;
      const feed = this.#feeds.find(
        ({ kind }) => kind.kind === object.kind && (group === undefined || kind.group === group),
      );
      if (feed === undefined) throw new Error(`the model does not read ${object.kind ?? ""}`);
      feed.take(keyOf(object), object);
    }
  }

  /** Sends what has changed until the clients have acknowledged everything. */
  send(): void {
    this.mesh.discovery.flush();
    while (this.#clients.filter((client) => client.acknowledge()).length > 0);
  }

  get sentBytes(): number {
    return this.#clients.reduce((sum, client) => sum + client.received.bytes, 0);
  }

  /** Returns the three collections that took the longest in the last batch, with their milliseconds. */
  slowestCollections(): string {
    return this.mesh.graph.collections
      .toSorted((left, right) => right.stats.lastCostMs - left.stats.lastCostMs)
      .slice(0, 3)
      .map(({ name, stats }) => `${name} ${stats.lastCostMs.toFixed(0)}`)
      .join(", ");
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}
