import type { MessageHead } from "../../wire/http1/index.ts";
import type { UpstreamChannel } from "../upstream/upstream-channel.ts";
import { ByteBuilder } from "./byte-builder.ts";

const requestBufferBytes = 2048;

/**
 * Memory that a connection's exchanges use one after another, because allocating it costs more than the rest of an
 * exchange. It holds no state of an exchange: all other objects are made anew for each request.
 */
export class ExchangeMemory {
  readonly #request = new ByteBuilder(requestBufferBytes);
  #writtenTo: UpstreamChannel | undefined;
  #head: MessageHead | undefined;

  /** The builder of the request that goes upstream. */
  get request(): ByteBuilder {
    return this.#request;
  }

  /**
   * Empties the request's memory. If the upstream of the previous request still reads its bytes, leaves them to it and
   * takes new memory.
   */
  emptyRequest(): void {
    if (this.#writtenTo?.holdsBytes === true) this.#request.detach();
    else this.#request.clear(requestBufferBytes);
    this.#writtenTo = undefined;
  }

  /** The upstream that reads the request's bytes. It may do so until after its response. */
  writtenTo(channel: UpstreamChannel): void {
    this.#writtenTo = channel;
  }

  /** A head that no other exchange uses. Undefined if none is stored. */
  takeHead(): MessageHead | undefined {
    const head = this.#head;
    this.#head = undefined;
    return head;
  }

  /** Nobody will read this head any more. */
  giveHead(head: MessageHead): void {
    this.#head = head;
  }
}
