import type { Random } from "../../base/index.ts";
import { hashText } from "../terms/hash-text.ts";
import type { LoadBalancer } from "./balancing.ts";

export interface RingOptions<Endpoint> {
  readonly keyOf: (endpoint: Endpoint) => string;
  readonly minSize: number;
  readonly maxSize: number;
  readonly random: Random;
}

/** The maximum number of endpoints. A point is a 53-bit number: 32 bits for its hash and the other 21 for its owner. */
const maxOwners = 2 ** 21;

/**
 * The maximum number of points of a ring, whatever size the cluster asks for. Each endpoint has at least one, though. A
 * thread serves nobody while it builds a ring, which it does again after each change of the endpoints. Envoy's largest
 * ring, with eight million points, takes seconds.
 */
const maxPoints = 65_536;

/**
 * Consistent hashing on a ring. Each endpoint has points in proportion to its weight, and a hash belongs to the
 * endpoint of the next point. When an endpoint comes or goes, only its share of the hashes moves. The ring is built on
 * first use.
 */
export class RingHashBalancer<Endpoint> implements LoadBalancer<Endpoint> {
  readonly #endpoints: readonly Endpoint[];
  readonly #weights: readonly number[];
  readonly #options: RingOptions<Endpoint>;
  #points: { readonly hashes: Uint32Array; readonly owners: Uint32Array } | undefined;

  constructor(endpoints: readonly Endpoint[], weights: readonly number[], options: RingOptions<Endpoint>) {
    this.#endpoints = endpoints;
    this.#weights = weights;
    this.#options = options;
  }

  pick(hash = Math.floor(this.#options.random() * 0x1_0000_0000), attempt = 0): Endpoint | undefined {
    const { hashes, owners } = (this.#points ??= this.#place());
    let low = 0;
    let high = hashes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((hashes[middle] ?? 0) < hash) low = middle + 1;
      else high = middle;
    }
    return this.#endpoints[owners[(low + attempt) % hashes.length] ?? 0];
  }

  #place(): { readonly hashes: Uint32Array; readonly owners: Uint32Array } {
    const total = this.#weights.reduce((sum, weight) => sum + weight, 0);
    const least = this.#weights.reduce((found, weight) => Math.min(found, weight), Infinity) / total;
    const { minSize, maxSize, keyOf } = this.#options;
    // Give the lightest endpoint a whole number of points, and the others proportionally more.
    const scale = Math.min(Math.ceil(least * minSize) / least, maxSize, maxPoints);
    const counts = this.#weights.map((weight) => Math.max(1, Math.round((weight / total) * scale)));
    // Store each point as one number, with the hash in the upper bits and the owner in the lower ones. Such an array
    // can be sorted in place, which matters for rings with many points.
    const points = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
    let at = 0;
    for (const [owner, endpoint] of this.#endpoints.entries()) {
      const key = keyOf(endpoint);
      for (let index = 0; index < (counts[owner] ?? 0); index += 1, at += 1)
        points[at] = hashText(`${key}_${index}`) * maxOwners + owner;
    }
    points.sort();
    return {
      hashes: Uint32Array.from(points, (point) => Math.floor(point / maxOwners)),
      owners: Uint32Array.from(points, (point) => point % maxOwners),
    };
  }
}
