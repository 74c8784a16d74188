import { HeldInput, heldInputBytes, type InputHolder } from "../../../dataplane/index.ts";

/** The memory that a held body may take is this many times its size, because its buffer grows and filters copy it. */
const bodyParts = 2;
/** The minimum for one thread: two bodies of the largest size that an external authorizer may see. */
const minBytesOfThread = 32 * 1_048_576;

export function heldBodyBytes(memoryBytes: number, threads: number): number {
  return Math.max(minBytesOfThread, Math.floor(heldInputBytes(memoryBytes, threads) / bodyParts));
}

/**
 * Counts the bodies of this thread that filters wait for or have not passed on. A filter's own limit bounds one body
 * but not the sum: a client may begin any number of bodies and end none of them.
 */
export const heldBodies = new HeldInput(heldBodyBytes);

/** The bytes that one exchange holds for filters. They count towards the share of the exchange's client. */
export class ExchangeBodies implements InputHolder {
  readonly peer: string;
  readonly heldStreams: readonly [ExchangeBodies];
  readonly #all: HeldInput;
  readonly #end: () => void;
  #bytes = 0;
  #isOver = false;

  /** `end` is called when this thread holds too much, and most of it for this client. It must end the exchange. */
  constructor(peer: string, end: () => void, all = heldBodies) {
    this.peer = peer;
    this.heldStreams = [this];
    this.#end = end;
    this.#all = all;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

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
