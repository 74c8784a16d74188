import type { Clock, Random } from "../../base/index.ts";
import { relay } from "../../dataplane/index.ts";
import type { ByteListener, ByteStream, SocketAddress } from "../../net/index.ts";
import type { Listen } from "../listen.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { EndpointConnector } from "../upstream/endpoint.ts";

/** Which cluster takes a connection, by weight. */
export interface TcpRouting {
  readonly clusters: readonly { readonly cluster: string; readonly weight: number }[];
  readonly totalWeight: number;
}

export interface TcpListenerOptions {
  readonly routing: TcpRouting;
  readonly cluster: (name: string) => Cluster | undefined;
  readonly connector: EndpointConnector;
  readonly clock: Clock;
  readonly random: Random;
  readonly observe: (record: TcpRecord) => void;
}

/** What is known of a connection when it has ended. */
export interface TcpRecord {
  readonly cluster: string;
  readonly endpoint: string;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly durationMs: number;
  /** Why it failed, if it did. */
  readonly failure: string | undefined;
}

/** A listening address whose connections are passed on as they are. */
export class TcpListener {
  readonly #options: TcpListenerOptions;
  readonly #sockets = new Map<string, ByteListener>();
  readonly #streams = new Set<ByteStream>();
  #routing: TcpRouting;

  constructor(options: TcpListenerOptions) {
    this.#options = options;
    this.#routing = options.routing;
  }

  get addresses(): readonly SocketAddress[] {
    return [...this.#sockets.values()].map((socket) => socket.address);
  }

  get connections(): number {
    return this.#streams.size;
  }

  async listen(listen: Listen, addresses: readonly SocketAddress[]): Promise<void> {
    const wanted = new Map(addresses.map((address) => [`${address.address} ${address.port}`, address]));
    for (const [key, address] of wanted) {
      if (!this.#sockets.has(key)) this.#sockets.set(key, await listen(address, (stream) => void this.#serve(stream)));
    }
    for (const [key, socket] of this.#sockets) {
      if (wanted.has(key)) continue;
      this.#sockets.delete(key);
      socket.close();
    }
  }

  /** New connections go by these weights. */
  reroute(routing: TcpRouting): void {
    this.#routing = routing;
  }

  stopListening(): void {
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  closeAll(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  async #serve(stream: ByteStream): Promise<void> {
    const startedMs = this.#options.clock.steadyMs();
    this.#streams.add(stream);
    let gone = false;
    stream.setHandler({ data: () => undefined, end: () => undefined, drain: () => undefined, close: () => (gone = true) });
    const name = this.#choose();
    const endpoint = name === undefined ? undefined : this.#options.cluster(name)?.pick(undefined, 1);
    const report = (receivedBytes: number, sentBytes: number, failure: string | undefined): void => {
      this.#streams.delete(stream);
      const durationMs = this.#options.clock.steadyMs() - startedMs;
      this.#options.observe({ cluster: name ?? "", endpoint: endpoint?.name ?? "", receivedBytes, sentBytes, durationMs, failure });
    };
    if (endpoint === undefined) {
      stream.destroy({ reset: true });
      report(0, 0, "no healthy upstream");
      return;
    }
    endpoint.counters.connectionsOpened += 1;
    try {
      const upstream = await this.#options.connector.connect(endpoint.config, endpoint.cluster.config.limits.connectTimeoutMs);
      if (gone) upstream.destroy();
      const result = await relay(stream, upstream);
      report(result.forwardBytes, result.backwardBytes, result.error?.message);
    } catch (error) {
      endpoint.counters.connectFailures += 1;
      stream.destroy({ reset: true });
      report(0, 0, error instanceof Error ? error.message : String(error));
    }
  }

  #choose(): string | undefined {
    const { clusters, totalWeight } = this.#routing;
    let rest = this.#options.random() * totalWeight;
    for (const entry of clusters) {
      rest -= entry.weight;
      if (rest < 0) return entry.cluster;
    }
    return undefined;
  }
}
