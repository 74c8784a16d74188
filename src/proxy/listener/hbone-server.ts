import { unknownWorkload, type WorkloadLabels } from "../terms/workload-labels.ts";
import {
  isLoopbackAddress,
  isOwnMachineAddress,
  LinkedList,
  unlisted,
  type Clock,
  type Linked,
} from "../../base/index.ts";
import { serveHbone, type HboneCutOff, type HboneRequest, type HboneServerConnection } from "../../dataplane/index.ts";
import type { ByteStream, ByteStreamHandler, SecureStream } from "../../net/index.ts";
import { headerValue, parseAuthority, parseBaggage, type Authority } from "../../wire/hbone/index.ts";
import type { ConnectionInfo, DownstreamTls } from "../terms/connection-info.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { HeldConnection } from "./connection-room.ts";

/** Passes a stream to an internal listener. Returns false if there is none with that name. */
export type EnterListener = (listener: string, stream: ByteStream, info: ConnectionInfo) => boolean;

export interface HboneServerOptions {
  /** The cluster whose endpoint names the internal listener into which the tunnels lead. */
  readonly cluster: () => Cluster | undefined;
  readonly enter: EnterListener;
  readonly clock: Clock;
  /** Called for each connection that was closed because its peer flooded us. */
  readonly onCutOff: (reason: HboneCutOff) => void;
  /** Called for each tunnel when it has ended. Undefined if no chain needs it. */
  readonly observer: () => ((tunnel: EndedTunnel) => void) | undefined;
}

export interface EndedTunnel {
  readonly connection: ConnectionInfo;
  readonly authority: string;
  readonly durationMs: number;
  /** The number of bytes from the client. `sentBytes` counts the bytes to the client. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

interface OpenConnection extends Linked<OpenConnection> {
  readonly connection: HboneServerConnection;
  readonly info: ConnectionInfo;
}

const badRequest = 400;
const unavailable = 503;

/**
 * Terminates HBONE tunnels. Each CONNECT becomes a connection to its authority, which continues at an internal
 * listener.
 */
export class HboneServer {
  readonly #options: HboneServerOptions;
  readonly #open = new LinkedList<OpenConnection>();
  #draining = false;
  accepted = 0;

  constructor(options: HboneServerOptions) {
    this.#options = options;
  }

  get connections(): number {
    return this.#open.size;
  }

  accept(stream: ByteStream, info: ConnectionInfo): void {
    this.accepted += 1;
    const { clock, onCutOff } = this.#options;
    const connection = serveHbone(secureStream(stream, info), {
      clock,
      onCutOff,
      onConnect: (request) => this.#connect(request, info),
    });
    const open: OpenConnection = { connection, info, ...unlisted };
    this.#open.add(open);
    void connection.closed.then(() => this.#open.remove(open));
    if (this.#draining) connection.drain();
  }

  /** The open connections, the oldest first. */
  *clientConnections(): Generator<HeldConnection> {
    for (const { connection, info } of this.#open) yield { peer: info.remote.address, abort: () => connection.close() };
  }

  drain(): void {
    this.#draining = true;
    for (const { connection } of this.#open) connection.drain();
  }

  closeAll(): void {
    for (const { connection } of this.#open) connection.close();
  }

  #connect(request: HboneRequest, info: ConnectionInfo): void {
    const authority = parseAuthority(request.authority);
    if (authority === undefined || (isOwnMachine(authority) && !isLoopbackAddress(info.local.address))) {
      request.reject(badRequest);
      return;
    }
    const listener = this.#listener();
    if (listener === undefined) {
      request.reject(unavailable);
      return;
    }
    const { host, port } = authority;
    const baggage = headerValue(request.headers, "baggage");
    const inner: ConnectionInfo = {
      local: { address: host, port },
      remote: info.remote,
      tls: info.tls === undefined ? undefined : tlsOfTunnel(info.tls),
      peer: baggage === undefined ? undefined : workloadOf(baggage),
      ...(headerValue(request.headers, "x-istio-source") === undefined
        ? {}
        : { source: headerValue(request.headers, "x-istio-source") }),
    };
    const stream = request.accept();
    const observe = this.#options.observer();
    if (observe !== undefined) this.#watch(stream, info, request.authority, observe);
    if (!this.#options.enter(listener, stream, inner)) stream.destroy({ reset: true });
  }

  /**
   * Watches for the end of a stream, because its byte counts are final then. The stream's reader sets its own handler
   * later.
   */
  #watch(
    stream: ByteStream,
    connection: ConnectionInfo,
    authority: string,
    observe: (tunnel: EndedTunnel) => void,
  ): void {
    const { clock } = this.#options;
    const startedMs = clock.steadyMs();
    const setHandler = stream.setHandler.bind(stream);
    // Assign this function by way of a variable. V8 would create a function literal that is assigned to a property
    // among the old objects, and would move the stream that the function refers to there too.
    const handled = (handler: ByteStreamHandler): void =>
      setHandler({
        data: (chunk) => handler.data(chunk),
        end: () => handler.end(),
        drain: () => handler.drain(),
        close: (error) => {
          handler.close(error);
          observe({
            connection,
            authority,
            durationMs: clock.steadyMs() - startedMs,
            receivedBytes: stream.receivedBytes,
            sentBytes: stream.sentBytes,
          });
        },
      });
    stream.setHandler = handled;
  }

  #listener(): string | undefined {
    for (const { config } of this.#options.cluster()?.endpoints() ?? [])
      if (config.transport.kind === "internal") return config.transport.listener;
    return undefined;
  }
}

/**
 * Whether a tunnel would lead to a loopback address. Listeners there trust that their callers are in the pod, so
 * tunnels from outside must not reach them.
 */
function isOwnMachine({ host, isAddress }: Authority): boolean {
  return isAddress && isOwnMachineAddress(host);
}

/** The stream in the form of a TLS stream, which HBONE expects. Only the peer's identity matters here. */
function secureStream(stream: ByteStream, info: ConnectionInfo): SecureStream {
  return Object.assign(stream, {
    peerIdentity: info.tls?.peerIdentity ?? "",
    alpnProtocol: info.tls?.alpnProtocol,
    peerCertificate: undefined,
    peerVerified: false,
    tlsVersion: "",
    cipher: "",
  });
}

/**
 * The TLS facts for connections inside a tunnel, without the ALPN protocol: the protocol of the tunnel's handshake says
 * nothing about the protocol inside.
 */
function tlsOfTunnel(tls: DownstreamTls): DownstreamTls {
  const { verified, peerIdentity, localIdentity, serverName } = tls;
  return {
    verified,
    peerIdentity,
    localIdentity,
    serverName,
    alpnProtocol: undefined,
    peerCertificate: () => tls.peerCertificate(),
    peerSubject: () => tls.peerSubject(),
    peerUris: () => tls.peerUris(),
    peerDnsNames: () => tls.peerDnsNames(),
    peerCertificateHash: () => tls.peerCertificateHash(),
  };
}

function workloadOf(text: string): WorkloadLabels {
  const baggage = parseBaggage(text);
  return {
    workload: baggage.workloadName ?? unknownWorkload.workload,
    namespace: baggage.namespace ?? unknownWorkload.namespace,
    canonicalName: baggage.serviceName ?? unknownWorkload.canonicalName,
    canonicalRevision: baggage.serviceVersion ?? unknownWorkload.canonicalRevision,
    cluster: baggage.cluster ?? unknownWorkload.cluster,
  };
}
