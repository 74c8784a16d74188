import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import {
  ConnectionLimit,
  messageOf,
  systemRandom,
  transientError,
  type Clock,
  type Logger,
  type Random,
} from "../../../base/index.ts";
import { SharedBudget } from "../../../base/shared-budget/index.ts";
import { listenTcp, readInSmallChunks, secureServer, type ByteListener, type ByteStream } from "../../../net/index.ts";
import { ClientCertificate } from "./client-certificate.ts";
import { GrpcConnection, type ConnectionOwner } from "./grpc-connection.ts";
import type { GrpcCall } from "./grpc-call.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { grpcStatus } from "./grpc-status.ts";
import type { RotatingCertificate } from "./rotating-certificate.ts";
import { FrameOutput } from "./frame-output.ts";
import { ReadingTurns } from "./reading-turns.ts";

/** Starts the answer to a call with {@link GrpcCall.start}, now or later. */
export type GrpcMethod = (call: GrpcCall) => void;

export interface GrpcServerOptions {
  /** The methods by path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  /** The maximum length of a request. A longer one ends its call. */
  readonly maxRequestBytes: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly maxConnections?: number;
  /**
   * How long a client may keep a connection, give or take a tenth. Its calls then end, so that it must prove its
   * identity again. Absent means forever.
   */
  readonly maxConnectionAgeMs?: number | undefined;
  readonly random?: Random;
}

const sweepMs = 1000;
const http2Protocol = "h2";

/** gRPC over HTTP/2, by prior knowledge or over TLS. {@link grpcLimits} bounds it. */
export class GrpcServer implements ConnectionOwner {
  readonly output = new FrameOutput();
  readonly clock: Clock;
  readonly maxRequestBytes: number;
  readonly turns: ReadingTurns;
  readonly maxConnectionAgeMs: number;
  readonly random: Random;
  readonly memory = new SharedBudget(grpcLimits.maxIncompleteBytes);
  readonly #methods: ReadonlyMap<string, GrpcMethod>;
  readonly #log: Logger;
  /** The connections, each with the function that frees its place. */
  readonly #connections = new Map<GrpcConnection, () => void>();
  readonly #listeners: ByteListener[] = [];
  readonly #handshakes = new Set<ByteStream>();
  readonly #limit: ConnectionLimit;
  #sweeping: Disposable | undefined;
  #isStopped = false;
  #allClosed: (() => void) | undefined;

  constructor(options: GrpcServerOptions) {
    this.clock = options.clock;
    this.turns = new ReadingTurns(options.clock);
    this.maxRequestBytes = options.maxRequestBytes;
    this.maxConnectionAgeMs = options.maxConnectionAgeMs ?? Infinity;
    this.random = options.random ?? systemRandom;
    this.#methods = options.methods;
    this.#log = options.log;
    this.#limit = new ConnectionLimit(options.maxConnections ?? grpcLimits.maxConnections);
  }

  /**
   * Listens on an address or name, and resolves with the port. With a certificate, it uses TLS and asks for client
   * certificates, which clients need not have.
   */
  async listen(address: string, port: number, certificate?: RotatingCertificate): Promise<number> {
    const accept = (stream: ByteStream): void => {
      const place = this.#limit.admit(stream, stream.remote.address);
      if (place === undefined) return;
      const release = (): void => place[Symbol.dispose]();
      if (certificate === undefined) this.#serve(stream, undefined, release);
      else void this.#secure(stream, certificate, release);
    };
    try {
      const ip = isIP(address) === 0 ? (await lookup(address)).address : address;
      const listener = await listenTcp({ address: ip, port }, accept);
      this.#listeners.push(listener);
      return listener.address.port;
    } catch (error) {
      throw transientError("cannot-listen", `cannot listen on ${address}:${port}: ${messageOf(error)}`, {
        cause: error,
        hint: "is another istiod running in this pod's network?",
      });
    }
  }

  /**
   * Accepts no more connections and calls. Handlers end calls that would not end by themselves. Other calls have until
   * `graceMs` to end.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopListening();
    const closed = new Promise<void>((resolve) => (this.#allClosed = resolve));
    for (const connection of this.#connections.keys()) connection.drain();
    using _limit = this.clock.after(graceMs, () => {
      for (const stream of this.#handshakes) stream.destroy();
      for (const connection of this.#connections.keys())
        connection.endCalls(grpcStatus.unavailable, "the control plane is stopping");
    });
    if (this.#connections.size > 0) await closed;
  }

  close(): void {
    this.#stopListening();
    for (const stream of this.#handshakes) stream.destroy();
    for (const connection of this.#connections.keys()) connection.destroy();
  }

  // ---- ConnectionOwner

  method(path: string): GrpcMethod | undefined {
    return this.#methods.get(path);
  }

  closed(connection: GrpcConnection, reason: string | undefined): void {
    this.#connections.get(connection)?.();
    this.#connections.delete(connection);
    this.turns.remove(connection);
    if (reason !== undefined) this.#log.debug("a connection ended", { peer: connection.peer.address, reason });
    if (this.#connections.size > 0) return;
    this.#sweeping?.[Symbol.dispose]();
    this.#sweeping = undefined;
    this.#allClosed?.();
  }

  async #secure(stream: ByteStream, certificate: RotatingCertificate, release: () => void): Promise<void> {
    this.#handshakes.add(stream);
    try {
      // A client with an expired certificate may still authenticate with a token.
      const secured = await secureServer(stream, () => certificate.context, {
        alpn: [http2Protocol],
        timeoutMs: grpcLimits.handshakeTimeoutMs,
        clientCertificate: "any",
      });
      const { peerCertificate, peerVerified } = secured;
      const shown =
        peerVerified && peerCertificate !== undefined
          ? new ClientCertificate(peerCertificate, () => certificate.trust, this.clock)
          : undefined;
      if (secured.alpnProtocol === http2Protocol) this.#serve(secured, shown, release);
      else {
        secured.destroy();
        release();
      }
    } catch (error) {
      release();
      this.#log.debug("a handshake failed", { peer: stream.remote.address, error: messageOf(error) });
    } finally {
      this.#handshakes.delete(stream);
    }
  }

  #serve(stream: ByteStream, certificate: ClientCertificate | undefined, release: () => void): void {
    if (this.#isStopped) {
      stream.destroy();
      release();
      return;
    }
    // A proxy sends much at first, and later only about a hundred bytes at a time.
    readInSmallChunks(stream);
    const { address, port } = stream.remote;
    const connection = new GrpcConnection(this, stream, { address, port, certificate });
    this.#connections.set(connection, release);
    this.turns.add(connection);
    this.#sweepLater();
    connection.start();
  }

  #sweepLater(): void {
    this.#sweeping ??= this.clock.after(sweepMs, () => {
      this.#sweeping = undefined;
      const nowMs = this.clock.steadyMs();
      for (const connection of this.#connections.keys()) connection.sweep(nowMs);
      if (this.#connections.size > 0) this.#sweepLater();
    });
  }

  #stopListening(): void {
    this.#isStopped = true;
    for (const listener of this.#listeners) listener.close();
    this.#listeners.length = 0;
  }
}
