import type { Clock } from "./clock.ts";

/** The fields by which a {@link LinkedList} finds a member. Only the list writes them. */
export interface Linked<Node> {
  isListed: boolean;
  previous: Node | undefined;
  next: Node | undefined;
}

/** The values of these fields before a list has the member. */
export const unlisted: Pick<Linked<never>, "isListed" | "previous" | "next"> = {
  isListed: false,
  previous: undefined,
  next: undefined,
};

/**
 * A list in the order in which members were added. The members refer to their neighbours. Unlike a Map or a Set, it
 * keeps nothing of a member that has left, so V8 can collect a short-lived member while it is young. A Map or a Set
 * moves to a new table again and again, and each table refers to the next one. After one table has become old, all
 * later tables become old too, with everything that was in them when they were left.
 */
export class LinkedList<Node extends Linked<Node>> {
  #first: Node | undefined;
  #last: Node | undefined;
  #size = 0;

  get first(): Node | undefined {
    return this.#first;
  }

  get size(): number {
    return this.#size;
  }

  add(node: Node): void {
    node.isListed = true;
    node.previous = this.#last;
    if (this.#last === undefined) this.#first = node;
    else this.#last.next = node;
    this.#last = node;
    this.#size += 1;
  }

  /** The members at the moment of the call. They may leave while the caller visits them. */
  [Symbol.iterator](): Iterator<Node> {
    const members: Node[] = [];
    for (let node = this.#first; node !== undefined; node = node.next) members.push(node);
    return members.values();
  }

  /** Removes the member. Returns false if it has already left. */
  remove(node: Node): boolean {
    if (!node.isListed) return false;
    const { previous, next } = node;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    node.isListed = false;
    // Clear the references. Otherwise the removed member would keep later members from being collected.
    node.previous = undefined;
    node.next = undefined;
    this.#size -= 1;
    return true;
  }
}

class Timeout implements Disposable, Linked<Timeout> {
  readonly run: () => void;
  readonly dueMs: number;
  readonly #list: LinkedList<Timeout>;
  isListed = false;
  previous: Timeout | undefined;
  next: Timeout | undefined;

  constructor(run: () => void, dueMs: number, list: LinkedList<Timeout>) {
    this.run = run;
    this.dueMs = dueMs;
    this.#list = list;
  }

  [Symbol.dispose](): void {
    this.#list.remove(this);
  }
}

/** The timeouts of one length, in the order in which they expire. One timer waits for the first of them. */
class Queue {
  readonly #clock: Clock;
  readonly #lengthMs: number;
  readonly #emptied: () => void;
  readonly #waiting = new LinkedList<Timeout>();
  #isArmed = false;

  constructor(clock: Clock, lengthMs: number, emptied: () => void) {
    this.#clock = clock;
    this.#lengthMs = lengthMs;
    this.#emptied = emptied;
  }

  add(run: () => void): Timeout {
    const timeout = new Timeout(run, this.#clock.steadyMs() + this.#lengthMs, this.#waiting);
    this.#waiting.add(timeout);
    if (!this.#isArmed) this.#clock.after(this.#lengthMs, this.#expire);
    this.#isArmed = true;
    return timeout;
  }

  readonly #expire = (): void => {
    const nowMs = this.#clock.steadyMs();
    let { first } = this.#waiting;
    for (; first !== undefined && first.dueMs <= nowMs; { first } = this.#waiting) {
      this.#waiting.remove(first);
      first.run();
    }
    if (first === undefined) this.#emptied();
    else this.#clock.after(Math.max(1, first.dueMs - nowMs), this.#expire);
  };
}

/**
 * For timeouts that are nearly always cancelled, such as the limits of connects. All timeouts of one length share one
 * timer, so neither starting nor cancelling one touches a timer. A timeout may expire up to a millisecond late.
 */
export class SharedTimeouts {
  /** The maximum number of lengths that have a shared timer. A timeout of a further length gets a timer of its own. */
  static readonly maxLengths = 64;
  readonly #clock: Clock;
  readonly #queues = new Map<number, Queue>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Calls `run` once after `ms`. Disposing of the result cancels the call. The timer does not keep the process alive.
   */
  after(ms: number, run: () => void): Disposable {
    let queue = this.#queues.get(ms);
    if (queue === undefined) {
      if (this.#queues.size >= SharedTimeouts.maxLengths) return this.#clock.after(ms, run);
      queue = new Queue(this.#clock, ms, () => this.#queues.delete(ms));
      this.#queues.set(ms, queue);
    }
    return queue.add(run);
  }
}
