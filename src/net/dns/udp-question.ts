import type { Socket } from "node:dgram";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../base/index.ts";
import { isAnswerTo, withId } from "./dns-message.ts";
import type { DnsSockets, NameServer } from "./dns-sockets.ts";

/**
 * When a query is sent again, in milliseconds after the datagram before. A datagram may be lost, and a name server
 * behind a Service may just have ended. A repeated query has another source port, so it may reach another server.
 */
const resentAfterMs = [300, 700] as const;

export interface UdpQuestionOptions {
  readonly server: NameServer;
  readonly sockets: DnsSockets;
  readonly clock: Clock;
  readonly randomId: () => number;
}

/**
 * One query to one name server over UDP. It sends up to three datagrams, each with its own id and port. If a datagram
 * cannot be sent, or if a host refuses it, the next one is sent at once. Disposing closes all sockets.
 */
export class UdpQuestion implements Disposable {
  readonly #query: Buffer;
  readonly #options: UdpQuestionOptions;
  readonly #answered = Promise.withResolvers<Buffer>();
  readonly #sockets = new Set<Socket>();
  #sent = 0;
  #failed = 0;
  #timer: Disposable | undefined;
  #isOver = false;

  constructor(query: Buffer, options: UdpQuestionOptions) {
    this.#query = query;
    this.#options = options;
  }

  /**
   * Returns the answer, with the id of the datagram that it answers. Rejects if all datagrams have failed. It has no
   * time limit.
   */
  async answer(): Promise<Buffer> {
    this.#send();
    return await this.#answered.promise;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    for (const socket of this.#sockets) socket.close();
    this.#sockets.clear();
  }

  #send(): void {
    this.#timer?.[Symbol.dispose]();
    const again = resentAfterMs[this.#sent];
    this.#sent += 1;
    void this.#open().catch((error: unknown) => this.#fail(error));
    if (again !== undefined) this.#timer = this.#options.clock.after(again, () => this.#send());
  }

  async #open(): Promise<void> {
    const { sockets, server, randomId } = this.#options;
    const socket = await sockets.udp(server);
    if (this.#isOver) {
      socket.close();
      return;
    }
    this.#sockets.add(socket);
    const query = withId(this.#query, randomId());
    let peer: AddressInfo | undefined;
    socket.on("error", (error) => this.#fail(error));
    socket.on("message", (message, from) => {
      // Compare the sender, because a datagram from any host may have arrived before the socket was connected.
      if (from.port === peer?.port && from.address === peer.address && isAnswerTo(query, message))
        this.#answered.resolve(message);
    });
    socket.once("connect", () => {
      peer = socket.remoteAddress();
      socket.send(query);
    });
    socket.connect(server.port, server.address);
  }

  #fail(error: unknown): void {
    this.#failed += 1;
    if (this.#isOver) return;
    if (this.#failed > resentAfterMs.length) this.#answered.reject(error);
    else if (this.#failed === this.#sent) this.#send();
  }
}
