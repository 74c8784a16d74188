import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { messageOf, userError } from "../../base/index.ts";

export interface LocalForwardOptions {
  /** An IP address, or `localhost` for the loopback addresses that the machine has. */
  readonly address: string;
  /** The ports to try, in this order. 0 is any free port. */
  readonly ports: readonly number[];
  readonly open: () => Promise<Duplex>;
  readonly failed: (reason: string) => void;
}

/** The maximum number of concurrent connections. Further ones are closed. */
const maxConnections = 256;

/** Forwards the connections of a local port. Listening begins with `listen`. */
export class LocalForward {
  readonly #options: LocalForwardOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(options: LocalForwardOptions) {
    this.#options = options;
  }

  /** Listens on the first free port and returns it. Throws a user error if there is none. */
  async listen(): Promise<number> {
    const { address, ports } = this.#options;
    let problem: unknown;
    for (const port of ports) {
      try {
        return address === "localhost" ? await this.#listenOnLoopback(port) : await this.#listenOn(address, port);
      } catch (error) {
        problem = error;
        this.close();
      }
    }
    throw userError("address-in-use", `cannot listen on port ${ports[0] ?? 0} of ${address}: ${messageOf(problem)}`, {
      cause: problem,
      hint: "choose another port with -p, or leave out -p for a free port",
    });
  }

  async #listenOnLoopback(port: number): Promise<number> {
    const taken = await this.#listenOn("127.0.0.1", port);
    // Machines without IPv6 lack ::1.
    await this.#listenOn("::1", taken).catch(() => undefined);
    return taken;
  }

  async #listenOn(host: string, port: number): Promise<number> {
    // Either side may send more after the other has ended its direction.
    const server = createServer({ allowHalfOpen: true }, (socket) => void this.#forward(socket));
    server.listen({ host, port });
    await once(server, "listening");
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  async #forward(socket: Socket): Promise<void> {
    socket.on("error", () => undefined);
    if (this.#sockets.size >= maxConnections) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    try {
      const stream = await this.#options.open();
      stream.on("error", (error: NodeJS.ErrnoException) => {
        // No fault: the client left before the stream had ended.
        if (error.code !== "ERR_STREAM_PREMATURE_CLOSE") this.#options.failed(messageOf(error));
      });
      await Promise.allSettled([pipeline(socket, stream), pipeline(stream, socket)]);
    } catch (error) {
      this.#options.failed(messageOf(error));
    } finally {
      socket.destroy();
      this.#sockets.delete(socket);
    }
  }

  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
