import { transientError } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";

/** The maximum number of known connections to own ports. A proxy rarely opens any. */
const maxKnown = 4096;
/**
 * How long a closed connection is remembered, in milliseconds, because its last request may not be processed yet. The
 * kernel does not reuse the connection's port within this time.
 */
const closedMs = 60_000;

interface Known {
  readonly stream: Pick<ByteStream, "fd">;
  /** When the connection was first found closed, on the steady clock. */
  closedAtMs: number | undefined;
}

/**
 * The connections that this proxy has opened to its own ports for a client, through a tunnel or a route. Their peer has
 * a local address, although the client is not in the pod. So the admin paths that end or drain the proxy must check
 * this list too.
 */
export class OwnConnections {
  readonly #ports: ReadonlySet<number>;
  readonly #known = new Map<string, Known>();

  constructor(ports: Iterable<number>) {
    this.#ports = new Set(ports);
  }

  /** Adds a stream if it leads to one of the ports. Throws if there are too many. */
  add(stream: Pick<ByteStream, "fd" | "local" | "remote" | "destroy">): void {
    const { port } = stream.remote;
    if (!this.#ports.has(port)) return;
    const key = keyOf(stream.local.port, port);
    if (this.#known.size >= maxKnown && !this.#known.has(key)) {
      stream.destroy({ reset: true });
      throw transientError("busy", `more than ${maxKnown} connections lead to this proxy's own ports`);
    }
    this.#known.set(key, { stream, closedAtMs: undefined });
  }

  /** Whether a connection that was accepted at `port` comes from this proxy, even if our end is closed by now. */
  has(remotePort: number, port: number): boolean {
    return this.#known.has(keyOf(remotePort, port));
  }

  /** Forgets connections that closed a while ago. Must be called once a second. */
  sweep(nowMs: number): void {
    for (const [key, known] of this.#known) {
      if (known.stream.fd !== -1) continue;
      known.closedAtMs ??= nowMs;
      if (nowMs - known.closedAtMs >= closedMs) this.#known.delete(key);
    }
  }
}

function keyOf(from: number, to: number): string {
  return `${from}>${to}`;
}
