import { contained } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";
import { FrameWriter } from "../../wire/http2/index.ts";
import { endOfTurn, type Flushable } from "./end-of-turn.ts";

export interface TurnOutputOptions {
  readonly stream: ByteStream;
  /** The number of waiting bytes from which on writers should wait. */
  readonly highWaterBytes: number;
  readonly onRoom: () => void;
}

/** The frames of one connection. All frames of a turn leave in one write at its end, from reused memory. */
export class TurnOutput implements Flushable {
  readonly #stream: ByteStream;
  readonly #highWaterBytes: number;
  readonly #onRoom: () => void;
  readonly #writer = new FrameWriter();
  #onEmpty: (() => void) | undefined;
  #isMarked = false;
  #isBusy = false;
  #isStopped = false;

  constructor(options: TurnOutputOptions) {
    this.#stream = options.stream;
    this.#highWaterBytes = options.highWaterBytes;
    this.#onRoom = options.onRoom;
  }

  /** The buffer for frames that should leave with this turn. */
  writer(): FrameWriter {
    if (!this.#isMarked && !this.#isStopped) {
      this.#isMarked = true;
      endOfTurn.mark(this);
    }
    return this.#writer;
  }

  get length(): number {
    return this.#writer.length;
  }

  get isFull(): boolean {
    return this.#writer.length >= this.#highWaterBytes;
  }

  /** Sends the frames of the turn, unless the kernel is still busy with the previous ones. */
  flush(): void {
    try {
      this.#flush();
    } catch (error) {
      this.#stream.destroy({ error: contained(error), reset: true });
    }
  }

  #flush(): void {
    this.#isMarked = false;
    if (this.#isBusy || this.#isStopped) return;
    if (this.#writer.length > 0) this.#write();
    if (this.#writer.length > 0 || this.#onEmpty === undefined) return;
    const onEmpty = this.#onEmpty;
    this.#onEmpty = undefined;
    onEmpty();
  }

  /** Called when the kernel has accepted all bytes. */
  drained(): void {
    this.#isBusy = false;
    this.flush();
    if (!this.#isStopped && !this.isFull) this.#onRoom();
  }

  /** Calls `done` at the end of a turn after which no bytes wait. */
  whenEmpty(done: () => void): void {
    this.#onEmpty = done;
    this.writer();
  }

  stop(): void {
    this.#isStopped = true;
    this.#onEmpty = undefined;
  }

  #write(): void {
    if (this.#stream.bufferedBytes === 0) this.#writer.returned();
    const taken = this.#stream.write(this.#writer.view());
    if (this.#stream.bufferedBytes === 0) this.#writer.reuse();
    else this.#writer.release();
    if (taken) this.#onRoom();
    else this.#isBusy = true;
  }
}
