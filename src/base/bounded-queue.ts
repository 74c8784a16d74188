import { invariant } from "./errors.ts";

/** A first-in first-out queue. {@link push} returns false if the queue is full. */
export class BoundedQueue<Item> {
  readonly capacity: number;
  #items: Item[] = [];
  #head = 0;

  constructor(capacity: number) {
    invariant(
      Number.isInteger(capacity) && capacity > 0,
      `a queue's capacity must be a positive integer, got ${capacity}`,
    );
    this.capacity = capacity;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: Item): boolean {
    if (this.size >= this.capacity) return false;
    this.#items.push(item);
    return true;
  }

  shift(): Item | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#head += 1;
    // Compact the array when half of it is consumed, so that shifting takes constant time on average.
    if (this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
