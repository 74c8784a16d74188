import { transientError } from "../../base/index.ts";
import type { ByteStream } from "../../net/index.ts";

/** Connections to ports of the own process that are known at once; a proxy has no reason to open many. */
const maxKnown = 4096;
/** A closed one is known for so long: what came by it may still wait to be looked at. The kernel gives its port to nobody else for as long. */
const closedMs = 60_000;

interface Known {
  readonly stream: Pick<ByteStream, "fd">;
  /** When it was first seen closed. */
  closedAtMs: number | undefined;
}

/**
 * Connections that this proxy opened to its own ports for a client, by a tunnel or a route. Their peer has a local
 * address although the client is not in the pod, so the paths that end or drain the proxy check this list too.
 */
export class OwnConnections {
  readonly #ports: ReadonlySet<number>;
  readonly #known = new Map<string, Known>();

  constructor(ports: Iterable<number>) {
    this.#ports = new Set(ports);
  }

  /** Remembers a stream, if it leads to one of the ports. Throws when too many are known. */
  add(stream: Pick<ByteStream, "fd" | "local" | "remote" | "destroy">): void {
    const { port } = stream.remote;
    if (!this.#ports.has(port)) return;
    const key = keyOf(stream.local.port, port);
    if (this.#known.size >= maxKnown && !this.#known.has(key)) {
      stream.destroy({ reset: true });
      throw transientError("own-ports", `more than ${maxKnown} connections lead to this proxy's own ports`);
    }
    this.#known.set(key, { stream, closedAtMs: undefined });
  }

  /** Whether a connection that was accepted at `port` is one of ours; also when our end of it is closed by now. */
  has(remotePort: number, port: number): boolean {
    return this.#known.has(keyOf(remotePort, port));
  }

  /** To be called once a second. */
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
