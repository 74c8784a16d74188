import type { ByteStream } from "../../net/index.ts";
import type { AcceptedKind, ConnectionShare } from "../proxy/connection-share.ts";
import type { ShareMemory } from "./share-memory.ts";
import type { OfferedConnection, ProcessCalls } from "./worker-calls.ts";

type Offer = (offer: Parameters<ProcessCalls["offer"]>[0]) => Promise<boolean>;

/** Decides by the load of each worker which one serves a connection. */
export class WorkerShare implements ConnectionShare {
  readonly #memory: ShareMemory;
  readonly #worker: number;
  readonly #offer: Offer;

  constructor(memory: ShareMemory, worker: number, offer: Offer) {
    this.#memory = memory;
    this.#worker = worker;
    this.#offer = offer;
  }

  keeps(kind: AcceptedKind): boolean {
    return this.#memory.better(this.#worker, kind) === undefined;
  }

  offer(uid: string, kind: AcceptedKind, stream: ByteStream): Promise<boolean> | undefined {
    const to = this.#memory.better(this.#worker, kind);
    if (to === undefined) return undefined;
    const offered: OfferedConnection = { uid, kind, fd: stream.fd, remote: stream.remote };
    // Count the connection at once, so that a second one at the same moment sees it.
    this.#memory.add(to, kind, 1);
    return this.#offer({ to, offered })
      .catch(() => false)
      .finally(() => this.#memory.add(to, kind, -1));
  }

  serve(kind: AcceptedKind): Disposable {
    this.#memory.add(this.#worker, kind, 1);
    let served = true;
    return {
      [Symbol.dispose]: () => {
        if (served) this.#memory.add(this.#worker, kind, -1);
        served = false;
      },
    };
  }
}
