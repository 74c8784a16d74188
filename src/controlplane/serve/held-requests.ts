/** A request that waits until the model is settled. */
export interface HeldRequest {
  readonly bytes: Uint8Array;
  readonly take: (bytes: Uint8Array) => void;
}

/** The maximum memory of held requests, more than the first requests of thousands of proxies need. */
const maxHeldBytes = 16 << 20;
/** The memory of a request in addition to its bytes. A request may be empty. */
const bytesOfRequest = 512;

function bytesOf({ bytes }: Pick<HeldRequest, "bytes">): number {
  return bytesOfRequest + bytes.length;
}

/** Requests of all proxies in the order of their arrival, which wait until the model is settled. */
export class HeldRequests {
  #requests: HeldRequest[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  /** Whether no more requests may wait. */
  get isFull(): boolean {
    return this.#bytes >= maxHeldBytes;
  }

  /** Lets a request wait. Copies its bytes, which are valid only during the call. */
  hold({ bytes, take }: HeldRequest): void {
    const held = { bytes: Uint8Array.from(bytes), take };
    this.#requests.push(held);
    this.#bytes += bytesOf(held);
  }

  /** Handles requests until one of them must wait again, or `isDue` says that others must get their turn. */
  handle(mustWait: () => boolean, isDue: () => boolean): void {
    const requests = this.#requests;
    this.#requests = [];
    let done = 0;
    while (done < requests.length && !mustWait() && (done === 0 || !isDue())) {
      const held = requests[done]!;
      done += 1;
      this.#bytes -= bytesOf(held);
      held.take(held.bytes);
    }
    // `take` may have put a request into the new list, because it must wait again. Such a request arrived before the
    // rest of the old list.
    this.#requests = [...this.#requests, ...requests.slice(done)];
  }
}
