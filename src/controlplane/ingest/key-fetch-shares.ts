import { onAbort } from "../../base/index.ts";
import { SharedBudget, type BudgetShare } from "../../base/shared-budget/index.ts";

const maxFetches = 64;
/** The maximum memory for all key sets together. Each has at most a megabyte. */
const maxKeyBytes = 64 * 1_048_576;
const bytesPerCharacter = 2;
/** The average time between two fetches of a namespace's key sets. */
const fetchSpacingMs = 20;

/** The waiting fetches of one set of namespaces, the oldest first. */
interface Queue {
  readonly namespaces: readonly string[];
  readonly begin: Set<(place: Disposable) => void>;
}

/**
 * Divides the fetches of key sets, and the memory for them, among namespaces. Users who may write
 * RequestAuthentications decide how many key sets the control plane fetches, from which servers, and how long the
 * fetches take. Each namespace may use half of what the others leave. If several namespaces want a key set, it counts
 * for one of them that has room.
 */
export class KeyFetchShares {
  readonly #places: SharedBudget;
  readonly #memory: SharedBudget;
  /** The memory of each key set and the namespace for which it counts, by the key set's id. */
  readonly #held = new Map<string, { readonly namespace: string; readonly share: BudgetShare }>();
  /** The queue with the next turn comes first. */
  readonly #waiting = new Map<string, Queue>();

  constructor(
    limits: { readonly fetches: number; readonly bytes: number } = { fetches: maxFetches, bytes: maxKeyBytes },
  ) {
    this.#places = new SharedBudget(limits.fetches);
    this.#memory = new SharedBudget(limits.bytes);
  }

  /** Waits for a place to fetch a key set of these namespaces. Disposing of the result frees the place. */
  async place(namespaces: readonly string[], signal: AbortSignal): Promise<Disposable> {
    const key = namespaces.join();
    const free = this.#waiting.has(key) ? undefined : this.#take(namespaces);
    if (free !== undefined) return free;
    const queue = this.#waiting.get(key) ?? { namespaces, begin: new Set() };
    this.#waiting.set(key, queue);
    const { promise, resolve, reject } = Promise.withResolvers<Disposable>();
    queue.begin.add(resolve);
    using _leaving = onAbort(signal, () => {
      queue.begin.delete(resolve);
      if (queue.begin.size === 0 && this.#waiting.get(key) === queue) this.#waiting.delete(key);
      reject(signal.reason as Error);
    });
    return await promise;
  }

  /** Counts a fetched key set instead of its earlier text. Returns false if no namespace has room for it. */
  hold(id: string, namespaces: readonly string[], text: string): boolean {
    const bytes = text.length * bytesPerCharacter;
    const earlier = this.#held.get(id);
    for (const namespace of namespaces) {
      const share = earlier?.namespace === namespace ? earlier.share : this.#memory.share(namespace);
      if (!share.set(bytes)) continue;
      if (share !== earlier?.share) this.drop(id);
      this.#held.set(id, { namespace, share });
      return true;
    }
    // The earlier text stays in force, so its memory still counts.
    return false;
  }

  drop(id: string): void {
    this.#held.get(id)?.share.set(0);
    this.#held.delete(id);
  }

  #take(namespaces: readonly string[]): Disposable | undefined {
    for (const namespace of namespaces) {
      const share = this.#places.share(namespace);
      if (!share.set(1)) continue;
      return {
        [Symbol.dispose]: () => {
          share.set(0);
          this.#beginNext();
        },
      };
    }
    return undefined;
  }

  /** Gives the next queue its turn, after which the queue is the last one. */
  #beginNext(): void {
    for (const [key, queue] of this.#waiting) {
      const [begin] = queue.begin;
      const place = begin === undefined ? undefined : this.#take(queue.namespaces);
      if (begin === undefined || place === undefined) continue;
      queue.begin.delete(begin);
      this.#waiting.delete(key);
      if (queue.begin.size > 0) this.#waiting.set(key, queue);
      begin(place);
    }
  }
}

/** The minimum time before a key set is fetched again, if its namespace has this many key sets. */
export function leastWaitMs(sourcesOfNamespace: number): number {
  return sourcesOfNamespace * fetchSpacingMs;
}
