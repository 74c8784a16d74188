import { contained, containing, LinkedList, type Clock, type Random } from "../../base/index.ts";
import type { ByteListener, ByteStream, SocketAddress } from "../../net/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { NewRequestId } from "../terms/random-id.ts";
import type { Listen } from "../listen.ts";
import type { RouteTable } from "../routing/route-table.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { CodecDetector } from "./codec-detector.ts";
import { DownstreamConnection } from "./downstream-connection.ts";
import type { ExchangeContext } from "../http/exchange-context.ts";
import type { ExchangeObserver } from "../record/exchange-record.ts";
import type { HttpConnectionConfig } from "../http/http-connection-config.ts";
import { HttpDate } from "../http/http-date.ts";
import { Http2DownstreamConnection } from "./http2-downstream-connection.ts";
import type { ListenerConnection } from "./listener-connection.ts";
import type { OwnMetadataWith } from "../peers/peer-metadata.ts";

export interface HttpListenerOptions {
  readonly config: HttpConnectionConfig;
  /** Returns the routes for a configuration. Called for each request, because routes may change. */
  readonly routeTable: (config: HttpConnectionConfig) => RouteTable | undefined;
  readonly cluster: (name: string) => Cluster | undefined;
  readonly observe: ExchangeObserver;
  /** Called for each open gRPC stream over HTTP/2, at each {@link HttpListener.sweep}. */
  readonly observeStream?: ExchangeObserver | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly newRequestId: NewRequestId;
  readonly ownMetadata?: OwnMetadataWith | undefined;
  readonly onTrouble?: ((message: string, error: unknown) => void) | undefined;
}

const codecOfAlpn: ReadonlyMap<string, "http1" | "http2"> = new Map([
  ["h2", "http2"],
  ["istio-h2", "http2"],
  ["http/1.1", "http1"],
  ["http/1.0", "http1"],
  ["istio-http/1.1", "http1"],
  ["istio-http/1.0", "http1"],
]);

/** Serves HTTP/1.1 and HTTP/2 on listening addresses. Connections stay open when its configuration changes. */
export class HttpListener {
  readonly #options: HttpListenerOptions;
  /**
   * A plain object without getters: V8 keeps an object literal that has a getter as a slow dictionary, and each request
   * reads this object about 20 times.
   */
  readonly #context: ExchangeContext & { draining: boolean };
  /** The open connections. The caller that accepts connections limits their number. */
  readonly #connections = new LinkedList<ListenerConnection>();
  #config: HttpConnectionConfig;
  readonly #sockets = new Map<string, ByteListener>();
  accepted = 0;
  requests = 0;
  lastAcceptedMs = 0;

  constructor(options: HttpListenerOptions) {
    this.#options = options;
    this.#config = options.config;
    const { clock, random, cluster } = options;
    this.#context = {
      config: () => this.#config,
      routeTable: () => options.routeTable(this.#config),
      cluster,
      draining: false,
      ownMetadata: options.ownMetadata,
      onTrouble: options.onTrouble,
      observe: (record) => {
        this.requests += 1;
        options.observe(record);
      },
      observeStream: options.observeStream,
      clock,
      random,
      date: new HttpDate(clock),
      newRequestId: options.newRequestId,
    };
  }

  get addresses(): readonly SocketAddress[] {
    return [...this.#sockets.values()].map((socket) => socket.address);
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** The open connections, the oldest first. */
  clientConnections(): Iterable<ListenerConnection> {
    return this.#connections;
  }

  get draining(): boolean {
    return this.#context.draining;
  }

  /**
   * Listens on exactly these addresses. Sockets whose address stays are not touched. New sockets open before old ones
   * close.
   */
  async listen(listen: Listen, addresses: readonly SocketAddress[]): Promise<void> {
    const wanted = new Map(addresses.map((address) => [`${address.address} ${address.port}`, address]));
    for (const [key, address] of wanted) {
      if (!this.#sockets.has(key)) this.#sockets.set(key, await listen(address, (stream) => this.accept(stream)));
    }
    for (const [key, socket] of this.#sockets) {
      if (wanted.has(key)) continue;
      this.#sockets.delete(key);
      socket.close();
    }
  }

  /** Serves a paused connection. Without `info`, the connection comes directly from a socket. */
  accept(
    stream: ByteStream,
    info: ConnectionInfo = { local: stream.local, remote: stream.remote, tls: undefined, peer: undefined },
  ): void {
    this.accepted += 1;
    this.lastAcceptedMs = this.#options.clock.steadyMs();
    const configured = this.#config.codec;
    const codec = configured === "auto" ? codecOfAlpn.get(info.tls?.alpnProtocol ?? "") : configured;
    if (codec === undefined) this.#detect(stream, info);
    else this.#serve(stream, info, codec);
  }

  #detect(stream: ByteStream, info: ConnectionInfo): void {
    const detector = new CodecDetector({
      stream,
      limitMs: () => this.#config.idleTimeoutMs,
      onDetected: (codec, received) => {
        this.#connections.remove(detector);
        this.#serve(stream, info, codec, received);
      },
      onClosed: () => void this.#connections.remove(detector),
    });
    this.#connections.add(detector);
    detector.start();
  }

  #serve(stream: ByteStream, info: ConnectionInfo, codec: "http1" | "http2", received?: Buffer): void {
    const onClosed = (connection: ListenerConnection): void => void this.#connections.remove(connection);
    const options = { stream, info, context: this.#context, onClosed };
    const connection = codec === "http2" ? new Http2DownstreamConnection(options) : new DownstreamConnection(options);
    this.#connections.add(connection);
    connection.start(received);
  }

  /** Sets the configuration for the next request of every connection. */
  reconfigure(config: HttpConnectionConfig): void {
    this.#config = config;
  }

  /** Adds `connection: close` to responses, and sends GOAWAY to HTTP/2 clients. The listener continues to accept. */
  drain(): void {
    this.#context.draining = true;
    for (const connection of this.#connections) containing(() => connection.leave());
  }

  stopListening(): void {
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  /** Closes connections without an open request for at least this time. */
  closeIdle(quietMs: number): void {
    const nowMs = this.#options.clock.steadyMs();
    for (const connection of this.#connections) containing(() => connection.closeIfIdle(nowMs, quietMs));
  }

  closeAll(): void {
    for (const connection of this.#connections) containing(() => connection.abort());
  }

  /** Lets each connection end what exceeds its time limit. Must be called once a second. */
  sweep(): void {
    for (const connection of this.#connections) {
      try {
        connection.sweep();
      } catch (error) {
        contained(error);
        containing(() => connection.abort());
      }
    }
  }
}
