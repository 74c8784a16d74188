import { HeldInput, heldInputBytes, type InputHolder } from "../../../dataplane/index.ts";

/** A held body takes several times its size: memory that grows, and the copies that filters read and send. */
const bodyParts = 2;
/** The minimum for one thread: two bodies of the size that an external authorizer may see. */
const minBytesOfThread = 32 * 1_048_576;

/** The limit of the bodies that each thread holds for filters. */
export function heldBodyBytes(memoryBytes: number, threads: number): number {
  return Math.max(minBytesOfThread, Math.floor(heldInputBytes(memoryBytes, threads) / bodyParts));
}

/**
 * The bodies that filters of this thread wait for, or have not passed on. A filter's limit bounds one body, but not
 * their sum: a client may send any number of bodies and end none of them.
 */
export const heldBodies = new HeldInput(heldBodyBytes);

/** The bytes that one exchange holds for filters. They count as its client's. */
export class ExchangeBodies implements InputHolder {
  readonly peer: string;
  readonly heldStreams: readonly [ExchangeBodies];
  readonly #all: HeldInput;
  readonly #end: () => void;
  #bytes = 0;
  #isOver = false;

  /** `end` ends the exchange, because this thread holds too much, and most of it for this client. */
  constructor(peer: string, end: () => void, all = heldBodies) {
    this.peer = peer;
    this.heldStreams = [this];
    this.#end = end;
    this.#all = all;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  /** Adds a change in the number of bytes that the exchange holds. */
  changed(difference: number): void {
    if (this.#isOver || difference === 0) return;
    this.#bytes += difference;
    this.#all.changed(this, this.#bytes);
  }

  shed(): void {
    this.#end();
  }

  /** Called when the exchange has ended. Filters that still hold bytes will drop them. */
  release(): void {
    if (this.#bytes > 0) this.#all.changed(this, 0);
    this.#bytes = 0;
    this.#isOver = true;
  }
}
