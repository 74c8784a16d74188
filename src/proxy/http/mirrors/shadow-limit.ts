import { LinkedList, type Linked } from "../../../base/index.ts";

export interface LimitedCopy extends Linked<LimitedCopy> {
  readonly heldBytes: number;
  abandon(): void;
}

/**
 * The maximum number of copies. Each copy has its own connection or stream. A copy without a time limit lasts until it
 * has been idle for some minutes.
 */
const maxCopies = 8192;
const maxHeldBytes = 64 * 1024 * 1024;
/**
 * When the limit of bytes is exceeded, copies that hold bytes end until this part of the limit is free (one in
 * `roomParts`), so that the next bytes do not exceed it again at once.
 */
const roomParts = 8;

/**
 * Limits the copies that a thread sends to mirrors. Clients do not wait for mirrors, so without a limit, a mirror that
 * does not answer would let any client fill the memory and use up the descriptors. Above the limit of copies, the
 * oldest copy ends. Above the limit of bytes, the oldest copies that hold bytes end. Copies to mirrors that answer are
 * young, so they are spared.
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

  /** Reports that a copy holds more or fewer bytes. Call it last, because it may end the copy. */
  changed(bytes: number): void {
    this.#bytes += bytes;
    if (bytes <= 0 || this.#bytes <= this.#maxBytes) return;
    const goal = this.#maxBytes - this.#maxBytes / roomParts;
    for (const copy of this.#open) {
      if (this.#bytes <= goal) return;
      if (copy.heldBytes > 0) copy.abandon();
    }
  }

  /** Reports that a copy has ended and holds nothing any more. */
  closed(copy: LimitedCopy): void {
    this.#open.remove(copy);
  }
}

export const shadowLimit = new ShadowLimit();
