import { transientError } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";

/** How many connections to the process's own ports may be open at once. A proxy has no reason for many. */
const maxOpen = 4096;

/**
 * Connections that this proxy opened to its own ports for a client, by a tunnel or a route. Their peer has a local
 * address although the client is not in the pod, so the paths that end or drain the proxy check this list too.
 */
export class OwnConnections {
  readonly #ports: ReadonlySet<number>;
  readonly #open = new Map<string, ByteStream>();

  constructor(ports: Iterable<number>) {
    this.#ports = new Set(ports);
  }

  /** Remembers a stream until it is closed, if it leads to one of the ports. Throws when too many are open. */
  add(stream: ByteStream): void {
    const { port } = stream.remote;
    if (!this.#ports.has(port)) return;
    if (this.#open.size >= maxOpen) this.#forgetClosed();
    if (this.#open.size >= maxOpen) {
      stream.destroy({ reset: true });
      throw transientError("own-ports", `more than ${maxOpen} connections lead to this proxy's own ports`);
    }
    this.#open.set(keyOf(stream.local.port, port), stream);
  }

  /** Whether a connection that was accepted at `port` is one of ours. */
  has(remotePort: number, port: number): boolean {
    const stream = this.#open.get(keyOf(remotePort, port));
    return stream !== undefined && stream.fd !== -1;
  }

  #forgetClosed(): void {
    for (const [key, { fd }] of this.#open) if (fd === -1) this.#open.delete(key);
  }
}

function keyOf(from: number, to: number): string {
  return `${from}>${to}`;
}
