import type { X509Certificate } from "node:crypto";
import type { TcpKeepalive } from "./tcp-keepalive.ts";

/**
 * The byte path that both data planes run on: a TCP or TLS connection without node's stream machinery. An
 * implementation lives in this part (libuv's handles, or node:net as the fallback); callers never see which.
 */
export interface ByteStream {
  /** Replaces the handler; a stream starts paused and reads after the first {@link resume}. */
  setHandler(handler: ByteStreamHandler): void;
  /**
   * Queues bytes; they must not change until the next `drain` or until {@link bufferedBytes} is 0. False means that the
   * kernel takes no more for now: go on after `drain`.
   */
  write(bytes: Uint8Array): boolean;
  /** Bytes accepted by write and not yet taken by the kernel. */
  readonly bufferedBytes: number;
  /** Sends what is queued, then ends our side (FIN, or TLS close_notify and FIN). The peer may go on sending. */
  end(): void;
  /** Closes at once and drops what is queued; `close` is called later, once. With `reset`, by RST. */
  destroy(options?: { readonly error?: Error; readonly reset?: boolean }): void;
  pause(): void;
  resume(): void;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** The socket's descriptor, for getsockopt; -1 once closed. */
  readonly fd: number;
  /** Bytes received and handed to write since the start. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface ByteStreamHandler {
  /** The chunk is valid only during the call: copy what must be kept. */
  data(chunk: Buffer): void;
  /** The peer has ended its side. */
  end(): void;
  /** After write answered false, all is with the kernel. */
  drain(): void;
  /** The last call, exactly once; an error unless both sides had ended or {@link ByteStream.destroy} was called without. */
  close(error: Error | undefined): void;
}

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** A TLS connection after its handshake. */
export interface SecureStream extends ByteStream {
  /** The peer's SPIFFE id (`spiffe://…`, its URI SAN), empty when it sent no certificate. */
  readonly peerIdentity: string;
  readonly alpnProtocol: string | undefined;
  /** What the peer showed; a server has looked at its chain. */
  readonly peerCertificate: X509Certificate | undefined;
  /** Whether that is valid now, and of a chain to the context's roots. */
  readonly peerVerified: boolean;
  /** `TLSv1.3`, and OpenSSL's name of the cipher. */
  readonly tlsVersion: string;
  readonly cipher: string;
}

export interface ByteListener {
  readonly address: SocketAddress;
  /** Stops accepting; connections that are open stay so. */
  close(): void;
}

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  /** A network namespace's descriptor to dial from; the process's own when absent. */
  readonly namespaceFd?: number;
  /** SO_MARK, such as 0x539. */
  readonly mark?: number;
  /** Dial from this address, which need not be ours (IP_TRANSPARENT). */
  readonly sourceAddress?: string;
  /** Probes for as long as the connection lives; none when absent. */
  readonly keepalive?: TcpKeepalive;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}
