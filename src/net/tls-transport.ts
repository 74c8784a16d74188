import { Socket, type SocketConstructorOpts } from "node:net";
import type { TLSSocket } from "node:tls";
import type { SerinError } from "../base/index.ts";
import type { ByteStream } from "./byte-stream.ts";
import { HandleStream, type HandleBacking } from "./handle-stream.ts";
import { libuvBinding, type LibuvBinding, type StreamHandle, type TcpHandle } from "./libuv-binding.ts";
import { resetOnClose } from "./namespace-socket.ts";
import { networkError, tlsFault } from "./node-error.ts";
import type * as Records from "./record-handshake.ts";
import { SocketStream } from "./socket-stream.ts";
import { streamDuplex } from "./stream-duplex.ts";
import type { RefusalAlert } from "./tls-alert.ts";

/** Where Node's TLS runs, and how a stream is made after the handshake. */
export interface Transport {
  readonly socket: Socket;
  /** Must be called at once after Node's TLS has got the socket. */
  begin(secured: TLSSocket, options: { readonly isServer: boolean; readonly alert?: RefusalAlert | undefined }): void;
  /**
   * Makes the stream. It must be called inside the event that ends the handshake, because records would get lost
   * otherwise.
   */
  secured(secured: TLSSocket): SecuredTransport;
}

export interface SecuredTransport {
  readonly stream: ByteStream;
  readonly destroy: (error: SerinError) => void;
  readonly onceClosed: (run: () => void) => void;
}

export interface TransportOptions {
  /** Bytes that were read from the stream before. */
  readonly received?: Buffer | undefined;
  /** The module whose code protects the records after the handshake. Absent if Node's TLS does. */
  readonly records?: typeof Records | undefined;
}

/** Takes over the stream. It must be paused, and must have nothing left to write. */
export function takeTransport(stream: ByteStream, options: TransportOptions): Transport {
  const binding = libuvBinding();
  const { records } = options;
  const memory = records?.recordMemory();
  if (records !== undefined && memory !== undefined)
    return recordTransport(stream, new records.RecordHandshake(stream, memory), options.received);
  const { socket, secured } = nodeTransport(stream, binding);
  if (options.received !== undefined && options.received.length > 0) socket.unshift(options.received);
  return {
    socket,
    begin: (tlsSocket, { alert }) => handOn(stream, tlsSocket, alert),
    secured: (tlsSocket) => securedByNode(tlsSocket, secured(tlsSocket)),
  };
}

function securedByNode(tlsSocket: TLSSocket, stream: ByteStream): SecuredTransport {
  return {
    stream,
    destroy: (error) => void tlsSocket.destroy(error),
    onceClosed: (run) => void tlsSocket.once("close", run),
  };
}

function recordTransport(
  below: ByteStream,
  handshake: Records.RecordHandshake,
  received: Buffer | undefined,
): Transport {
  return {
    socket: handshake.socket,
    begin: (tlsSocket, { isServer }) => handshake.begin(tlsSocket, isServer, received),
    secured: (tlsSocket) => {
      const stream = handshake.secured(`TLS with ${below.remote.address}:${below.remote.port}`);
      if (stream === undefined) return securedByNode(tlsSocket, new SocketStream(tlsSocket, below));
      return {
        stream,
        destroy: (error) => stream.destroy({ error: tlsFault(error) }),
        onceClosed: (run) => (stream.whenClosed = run),
      };
    },
  };
}

function nodeTransport(
  stream: ByteStream,
  binding: LibuvBinding | undefined,
): { readonly socket: Socket; readonly secured: (socket: TLSSocket) => ByteStream } {
  if (stream instanceof HandleStream && binding !== undefined) {
    const handle = stream.detach();
    // `handle` and `manualStart` are internal options of Node, which its types lack.
    const socket = new Socket({ handle, allowHalfOpen: true, manualStart: true } as unknown as SocketConstructorOpts);
    return { socket, secured: (tlsSocket) => handleStreamOf(binding, handle as TcpHandle, tlsSocket, stream) };
  }
  if (stream instanceof SocketStream)
    return { socket: stream.detach(), secured: (tlsSocket) => new SocketStream(tlsSocket) };
  return {
    socket: streamDuplex(stream) as unknown as Socket,
    secured: (tlsSocket) => new SocketStream(tlsSocket, stream),
  };
}

/**
 * Lets the owner of the stream below end the connection, for example because its server is full. The owner also does
 * that after a refusal, where it must not cut off the alert.
 */
function handOn(stream: ByteStream, secured: TLSSocket, alert?: RefusalAlert): void {
  const end = (): void => {
    if (alert?.isSent !== true) secured.destroy();
  };
  if (stream instanceof HandleStream || stream instanceof SocketStream) stream.handedOn(end);
}

/**
 * Takes the TLS handle over from Node's stream. It must be called inside the event that ends the handshake, because
 * records would get lost otherwise.
 */
function handleStreamOf(binding: LibuvBinding, tcp: TcpHandle, tlsSocket: TLSSocket, below: HandleStream): ByteStream {
  const handle = (tlsSocket as unknown as { readonly _handle: StreamHandle })._handle;
  handle.readStop();
  const backing: HandleBacking = {
    handle,
    tls: true,
    name: (which, out) => (which === "local" ? tcp.getsockname(out) : tcp.getpeername(out)),
    close: (reset, done) => {
      if (reset) resetOnClose(tcp.fd);
      if (tlsSocket.closed) return void setImmediate(done);
      tlsSocket.once("close", done);
      tlsSocket.destroy();
    },
  };
  const stream = new HandleStream(binding, backing);
  stream.takePeerOf(below);
  let fault: SerinError | undefined;
  tlsSocket.on("error", (error) => {
    fault = tlsFault(networkError(`TLS with ${stream.remote.address}:${stream.remote.port}`, error));
    // Report the fault, because Node does not close the socket after an alert. The end of the connection would seem
    // orderly.
    stream.transportClosed(fault);
  });
  tlsSocket.on("close", () => stream.transportClosed(fault));
  return stream;
}
