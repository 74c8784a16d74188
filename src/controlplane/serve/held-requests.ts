export interface HeldRequest {
  readonly bytes: Uint8Array;
  readonly take: (bytes: Uint8Array) => void;
}

/** The maximum memory of held requests. The first requests of thousands of proxies need less. */
const maxHeldBytes = 16 << 20;
/** The memory of a request besides its bytes. A request may have no bytes. */
const bytesOfRequest = 512;

function bytesOf({ bytes }: Pick<HeldRequest, "bytes">): number {
  return bytesOfRequest + bytes.length;
}

/** Requests of all proxies that wait until the model has settled, in the order of their arrival. */
export class HeldRequests {
  #requests: HeldRequest[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  get isFull(): boolean {
    return this.#bytes >= maxHeldBytes;
  }

  /** Copies the request's bytes, which are valid only during the call. */
  hold({ bytes, take }: HeldRequest): void {
    const held = { bytes: Uint8Array.from(bytes), take };
    this.#requests.push(held);
    this.#bytes += bytesOf(held);
  }

  /** Handles requests until one of them must wait again, or `isDue` says that it is the turn of other work. */
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
    // `take` may have put a request that must wait again into the new list. It arrived before the rest of the old list.
    this.#requests = [...this.#requests, ...requests.slice(done)];
  }
}
