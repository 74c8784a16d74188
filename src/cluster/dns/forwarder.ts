import { createSocket } from "node:dgram";
import type { Clock } from "../../base/index.ts";

export interface Upstream {
  readonly address: string;
  readonly port: number;
}

const answerTimeoutMs = 3_000;
/** The maximum number of questions that wait for the upstream. Further ones are refused. */
const maxPending = 512;

/** Forwards questions about other names unchanged over UDP. */
export class Forwarder {
  readonly #upstream: Upstream;
  readonly #clock: Clock;
  #pending = 0;

  constructor(upstream: Upstream, clock: Clock) {
    this.#upstream = upstream;
    this.#clock = clock;
  }

  /** Returns the upstream's answer. Undefined if there is none in time. */
  async ask(query: Buffer): Promise<Buffer | undefined> {
    if (this.#pending >= maxPending) return undefined;
    this.#pending += 1;
    // Each query uses a new socket, because a new source port keeps others from forging the answer.
    const socket = createSocket(this.#upstream.address.includes(":") ? "udp6" : "udp4");
    try {
      return await new Promise<Buffer | undefined>((resolve) => {
        const timer = this.#clock.after(answerTimeoutMs, () => resolve(undefined));
        socket.on("message", (answer) => {
          if (answer.length < 2 || answer.readUInt16BE(0) !== query.readUInt16BE(0)) return;
          timer[Symbol.dispose]();
          resolve(answer);
        });
        socket.on("error", () => resolve(undefined));
        socket.connect(this.#upstream.port, this.#upstream.address, () => socket.send(query));
      });
    } finally {
      this.#pending -= 1;
      socket.close();
    }
  }
}
