import { LinkedList, type Linked } from "../../../base/index.ts";

/** A copy of a request for a mirror, in progress. */
export interface LimitedCopy extends Linked<LimitedCopy> {
  /** The bytes that wait for the mirror. */
  readonly heldBytes: number;
  abandon(): void;
}

/** Each copy has a connection or a stream of its own, and without a time limit it lasts as long as the mirror likes. */
const maxCopies = 8192;
const maxHeldBytes = 64 * 1024 * 1024;
/** The part of the limit that is freed when the limit is exceeded, so that the next bytes do not exceed it again. */
const roomParts = 8;

/**
 * Limits the copies of a thread. A mirror that does not answer would otherwise let any client fill the memory, and use
 * up the descriptors, while its own requests are answered at once. Above a limit, the oldest copies end: those of
 * mirrors that answer are young.
 */
export class ShadowLimit {
  readonly #maxCopies: number;
  readonly #maxBytes: number;
  readonly #open = new LinkedList<LimitedCopy>();
  #bytes = 0;

  constructor(copies = maxCopies, bytes = maxHeldBytes) {
    this.#maxCopies = copies;
    this.#maxBytes = bytes;
  }

  opened(copy: LimitedCopy): void {
    while (this.#open.size >= this.#maxCopies) this.#open.first?.abandon();
    this.#open.add(copy);
  }

  /** A copy holds more or fewer bytes. Call it last, because it may end the copy. */
  changed(bytes: number): void {
    this.#bytes += bytes;
    if (bytes <= 0 || this.#bytes <= this.#maxBytes) return;
    const goal = this.#maxBytes - this.#maxBytes / roomParts;
    for (const copy of this.#open) {
      if (this.#bytes <= goal) return;
      if (copy.heldBytes > 0) copy.abandon();
    }
  }

  /** A copy has ended, and holds nothing. */
  closed(copy: LimitedCopy): void {
    this.#open.remove(copy);
  }
}

/** The copies of this thread. */
export const shadowLimit = new ShadowLimit();
