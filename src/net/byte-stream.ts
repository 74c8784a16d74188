import type { X509Certificate } from "node:crypto";
import type { TcpKeepalive } from "./tcp-keepalive.ts";

/**
 * The byte path of both data planes: a TCP or TLS connection without node's stream machinery. It runs on libuv's
 * handles or, as a fallback, on node:net. Callers cannot tell which.
 */
export interface ByteStream {
  /**
   * Replaces the handler. A stream starts paused and reads after the first {@link resume}. If the stream has closed
   * already, the new handler is notified of the close soon.
   */
  setHandler(handler: ByteStreamHandler): void;
  /**
   * Queues bytes. The caller must not change them until the next `drain`, or until {@link bufferedBytes} is 0. Returns
   * false if the kernel's buffer is full. Continue after `drain` in that case.
   */
  write(bytes: Uint8Array): boolean;
  /** Bytes that were written and that the kernel has not taken yet. */
  readonly bufferedBytes: number;
  /** Sends what is queued, then ends our side (FIN, or TLS close_notify and FIN). The peer may continue to send. */
  end(): void;
  /** Closes at once and drops queued bytes. `close` follows later, once. With `reset`, sends a RST. */
  destroy(options?: { readonly error?: Error; readonly reset?: boolean }): void;
  pause(): void;
  resume(): void;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** The socket's descriptor, for getsockopt. -1 after the stream has closed. */
  readonly fd: number;
  /** Bytes that were received and passed to the handler since the start. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface ByteStreamHandler {
  /** Receives a chunk, which is valid only during the call. Copy what must be kept. */
  data(chunk: Buffer): void;
  /** Called when the peer has ended its side. */
  end(): void;
  /** Called when the kernel has taken everything, after a write returned false. */
  drain(): void;
  /**
   * The last call, made exactly once. Has an error unless both sides had ended or {@link ByteStream.destroy} was called
   * without one.
   */
  close(error: Error | undefined): void;
}

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** A TLS connection after its handshake. */
export interface SecureStream extends ByteStream {
  /** The peer's SPIFFE id (`spiffe://…`, its URI SAN). Empty if the peer sent no certificate. */
  readonly peerIdentity: string;
  readonly alpnProtocol: string | undefined;
  /** The peer's certificate. A server has verified its chain. */
  readonly peerCertificate: X509Certificate | undefined;
  /** Whether the certificate is valid now and chains to one of the context's roots. */
  readonly peerVerified: boolean;
  /** The TLS version, such as `TLSv1.3`. `cipher` is OpenSSL's name for the cipher. */
  readonly tlsVersion: string;
  readonly cipher: string;
}

export interface ByteListener {
  readonly address: SocketAddress;
  /**
   * Starts to accept. Only for a listener that was opened with `held`. Rejects if another process has the address by
   * now.
   */
  begin?(): Promise<void>;
  /** Stops accepting. Open connections continue. */
  close(): void;
}

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  /** The descriptor of the network namespace to dial from. Absent means the process's own. */
  readonly namespaceFd?: number | undefined;
  /** SO_MARK, such as 0x539. */
  readonly mark?: number | undefined;
  /** The local address to dial from, which may belong to another host (IP_TRANSPARENT). */
  readonly sourceAddress?: string | undefined;
  /** Keepalive probes for the lifetime of the connection. Absent means none. */
  readonly keepalive?: TcpKeepalive | undefined;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Receives a function that aborts the connect. This costs less than a signal. */
  readonly onStart?: (giveUp: (reason: Error) => void) => void;
}
