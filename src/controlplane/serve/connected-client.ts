import { toSerinError, userError, type Clock } from "../../base/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import type { AcknowledgementReader } from "./acknowledgement-reader.ts";
import type { DebugConnection } from "./debug-connection.ts";
import { keptReason, type DiscoveryStream, type ResponseSink } from "./discovery-stream.ts";
import type { HeldRequest } from "./held-requests.ts";
import { bytesOfTexts, readProxyIdentity, type ProxyIdentity } from "./proxy-identity.ts";
import type { ProbedHealth } from "./proxy-registration.ts";
import { decodeRequest, resourceRequest, type DiscoveryProtocol } from "./read-request.ts";

/** One connected client. Its node is known only after its first request. */
export interface DiscoveryClient {
  /** The bytes are read only during the call. Throws a user error if the stream must end. */
  receive(bytes: Uint8Array): void;
  drained(): void;
  close(): void;
}

/** Counts the memory that the server keeps for one client. Throws if the client's address exceeds its share. */
export interface KeptMemory {
  readonly forItself: (bytes: number) => void;
  readonly forStream: (bytes: number) => void;
  readonly end: () => void;
}

export interface ClientServer {
  readonly clock: Clock;
  readonly acknowledgements: AcknowledgementReader;
  readonly isSettling: () => boolean;
  readonly canHold: () => boolean;
  /** Copies the request's bytes, and lets it wait for the model. */
  readonly hold: (request: HeldRequest) => void;
  /**
   * Computes the views of a proxy before it subscribes. Returns false if the model is still settling at the end of this
   * turn of the event loop.
   */
  readonly expect: (proxy: ProxyIdentity) => boolean;
  readonly open: (proxy: ProxyIdentity) => DiscoveryStream;
  readonly close: (stream: DiscoveryStream) => void;
  readonly probed: (proxy: ProxyIdentity, health: ProbedHealth) => void;
}

export interface ConnectedClientOptions {
  readonly protocol: DiscoveryProtocol;
  readonly sink: ResponseSink;
  readonly server: ClientServer;
  readonly debug: DebugConnection;
  readonly kept: KeptMemory;
  /** Checks that the credentials allow the proxy that the first request claims to be. Throws otherwise. */
  readonly identified: (claimed: ProxyIdentity) => ProxyIdentity;
}

/** The time limit for a client's first request. No client needs nearly as long. */
const maxSilenceMs = 30_000;
/** The memory that a client takes besides its labels, metadata and networks. */
const bytesOfClient = 16 << 10;

/** Reads the requests of one client in order. The first one for resources opens the client's stream. */
export class ConnectedClient implements DiscoveryClient {
  readonly #options: ConnectedClientOptions;
  readonly #silence: Disposable;
  #proxy: ProxyIdentity | undefined;
  #stream: DiscoveryStream | undefined;
  #isOpen = true;
  #heldCount = 0;

  constructor(options: ConnectedClientOptions) {
    this.#options = options;
    const { sink, server } = options;
    // Without the limit, a stream that sends no request would stay open forever.
    const refuse = (): void =>
      sink.refuse?.(
        userError("bad-request", `the first request of a stream must come within ${maxSilenceMs / 1000} s`),
      );
    this.#silence = sink.afterSilence?.(server.clock, maxSilenceMs, refuse) ?? server.clock.after(maxSilenceMs, refuse);
  }

  receive(bytes: Uint8Array): void {
    const { server, debug } = this.#options;
    // Debug pages answer even while the model settles. If an earlier request of the client waits, a debug request must
    // wait, too, because the earlier one may name the node.
    const waits = server.isSettling() && (this.#heldCount > 0 || !debug.isFor(bytes)) && server.canHold();
    if (waits) this.#hold(bytes);
    else this.#take(bytes);
  }

  drained(): void {
    this.#options.debug.drained();
    this.#stream?.drained();
  }

  close(): void {
    const { server, debug, kept } = this.#options;
    this.#isOpen = false;
    debug.close();
    this.#silence[Symbol.dispose]();
    if (this.#stream !== undefined) server.close(this.#stream);
    this.#stream = undefined;
    kept.end();
  }

  #hold(bytes: Uint8Array): void {
    this.#heldCount += 1;
    this.#options.server.hold({ bytes, take: this.#takeHeld });
  }

  readonly #takeHeld = (bytes: Uint8Array): void => {
    this.#heldCount -= 1;
    if (!this.#isOpen) return;
    try {
      this.#take(bytes);
    } catch (error) {
      this.#options.sink.refuse?.(toSerinError(error));
    }
  };

  #take(bytes: Uint8Array): void {
    const { protocol, server, debug } = this.#options;
    if (this.#acknowledges(bytes)) return;
    const request = decodeRequest(protocol, bytes);
    this.#proxy ??= this.#identify(readProxyIdentity(request.node));
    // A client that sends only debug requests is not a proxy and gets no stream.
    if (debug.take(this.#proxy, request)) return;
    if (this.#stream === undefined && !server.expect(this.#proxy)) return this.#hold(bytes);
    this.#stream ??= server.open(this.#proxy);
    if (request.typeUrl === typeUrls.healthInformation)
      server.probed(this.#stream.proxy, {
        healthy: request.errorDetail === undefined,
        message: keptReason(request.errorDetail?.message ?? ""),
      });
    else this.#stream.receive(resourceRequest(request));
  }

  #acknowledges(bytes: Uint8Array): boolean {
    const { protocol, server } = this.#options;
    if (this.#stream === undefined || protocol !== "delta") return false;
    const accepted = server.acknowledgements.read(bytes);
    return accepted !== undefined && this.#stream.accept(accepted.typeUrl, accepted.nonce);
  }

  #identify(claimed: ProxyIdentity): ProxyIdentity {
    const { identified, kept } = this.#options;
    this.#silence[Symbol.dispose]();
    const proxy = identified(claimed);
    kept.forItself(bytesOfClient + bytesOfTexts(proxy));
    return proxy;
  }
}
