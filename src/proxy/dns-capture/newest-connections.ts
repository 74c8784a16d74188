import { LinkedList, unlisted, type Linked } from "../../base/index.ts";

interface PodConnection {
  destroy(): unknown;
}

interface Place extends Linked<Place>, Disposable {
  readonly connection: PodConnection;
}

/**
 * Limits the connections of one client, the pod, by ending the oldest one when there are too many. Nothing else ends
 * idle connections. Without this, processes that open connections and send nothing would cut the pod off from DNS over
 * TCP.
 */
export class NewestConnections {
  readonly #max: number;
  readonly #open = new LinkedList<Place>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Counts a new connection. Its place becomes free when the result is disposed of. */
  admit(connection: PodConnection): Disposable {
    const oldest = this.#open.size < this.#max ? undefined : this.#open.first;
    if (oldest !== undefined) {
      this.#open.remove(oldest);
      oldest.connection.destroy();
    }
    const place: Place = { ...unlisted, connection, [Symbol.dispose]: () => void this.#open.remove(place) };
    this.#open.add(place);
    return place;
  }
}
