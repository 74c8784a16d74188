import type { X509Certificate } from "node:crypto";
import { connect, TLSSocket, type ConnectionOptions } from "node:tls";
import { alternativeNames, SerinError, transientError } from "../base/index.ts";
import type { ByteStream, SecureStream } from "./byte-stream.ts";
import { HandleStream } from "./handle-stream.ts";
import { networkError, tlsFault } from "./node-error.ts";
import type * as Records from "./record-handshake.ts";
import { SocketStream } from "./socket-stream.ts";
import type { RefusalAlert } from "./tls-alert.ts";
import type { PeerGuard, TlsContext, TlsContextSource } from "./tls-context.ts";
import { takeTransport, type Transport } from "./tls-transport.ts";

export interface SecureClientOptions {
  /**
   * The protocols to offer, the preferred one first. The handshake fails if the server selects none. If the list is
   * empty, none is offered.
   */
  readonly alpn: readonly string[];
  /** Whether the server may select none of the protocols. */
  readonly alpnOptional?: boolean;
  /** The SNI to send. If absent, none is sent. */
  readonly servername?: string;
  readonly timeoutMs: number;
  /**
   * How the server is verified. Except with `none`, its chain must lead to the context's roots. With `identities`, it
   * must also have one of these SPIFFE ids, unless the list is empty. With `hostname`, its certificate must be valid
   * for this name. `refuse` may refuse a server whose chain and hostname are verified.
   */
  readonly verify:
    | { readonly by: "identities"; readonly identities: readonly string[] }
    | { readonly by: "hostname"; readonly hostname: string }
    | { readonly by: "chain" | "none" };
  readonly refuse?: RefusePeer;
  readonly ownRecords?: boolean;
}

/**
 * Why the holder of a certificate is refused. Undefined if it is accepted. With `onlyUris`, only URIs in the
 * certificate prove a name.
 */
export type RefusePeer = (certificate: X509Certificate | undefined, onlyUris: boolean) => string | undefined;

export interface SecureServerOptions {
  readonly alpn: readonly string[];
  readonly timeoutMs: number;
  /**
   * `require` refuses clients without a certificate from a trusted root. `request` refuses untrusted certificates, but
   * accepts clients without one. `any` requests a certificate, but accepts every client. `none` requests none.
   */
  readonly clientCertificate: "require" | "request" | "any" | "none";
  /** Bytes of TLS (at most a few kB) that were already read from the stream. */
  readonly received?: Buffer;
  /**
   * May refuse a client whose chain is verified. It is not called for a client without a certificate, or with `any`.
   */
  readonly refuse?: RefusePeer;
  /** Whether a refused client learns the reason from an alert of TLS 1.3. */
  readonly alerts?: boolean;
  /**
   * Whether Serin's own code, and not Node's TLS, protects the records after the handshake, if that is possible. It is
   * for long connections: it costs less, but resumes no sessions. It has no effect with `alerts`, or if the peer need
   * not prove who it is.
   */
  readonly ownRecords?: boolean;
}

/**
 * Performs the TLS handshake as a client. It takes over the stream, which must be paused and idle, and closes it on
 * failure. Rejects with `tls-failed` (whose reason is OpenSSL's word), `timeout`, `connection-reset` or
 * `peer-identity`.
 */
export async function secureClient(
  stream: ByteStream,
  context: TlsContext,
  options: SecureClientOptions,
): Promise<SecureStream> {
  const title = `TLS with ${stream.remote.address}:${stream.remote.port}`;
  const { verify } = options;
  const records = options.ownRecords === true && verify.by !== "none" ? await recordModule() : undefined;
  refuseClosed(stream, title);
  const transport = takeTransport(stream, { records });
  const settings: ConnectionOptions = {
    socket: transport.socket,
    secureContext: context.secureContext,
    rejectUnauthorized: verify.by !== "none",
    ...(options.alpn.length > 0 ? { ALPNProtocols: [...options.alpn] } : {}),
    ...(options.servername === undefined ? {} : { servername: options.servername }),
    // Let Node check a hostname. Disable Node's check otherwise, because an identity is checked after the handshake.
    ...(verify.by === "hostname" ? { host: verify.hostname } : { checkServerIdentity: () => undefined }),
  };
  const secured = connect(settings);
  transport.begin(secured, { isServer: false });
  const { guard } = verify.by === "none" ? {} : context;
  return await finish(
    transport,
    secured,
    "secureConnect",
    { title, timeoutMs: options.timeoutMs, guard, peer: "server" },
    (identity, certificate) => {
      const reason =
        (certificate === undefined ? undefined : guard?.refuse(certificate, "server")) ??
        options.refuse?.(certificate, provesOnlyUris(guard, certificate));
      if (reason !== undefined) return transientError("peer-identity", `${title}: ${reason}`);
      if (options.alpn.length > 0 && options.alpnOptional !== true && !secured.alpnProtocol)
        return transientError(
          "tls-failed",
          `${title}: the server accepts none of the protocols ${options.alpn.join(", ")}`,
        );
      if (verify.by !== "identities" || verify.identities.length === 0) return undefined;
      if (verify.identities.includes(identity)) return undefined;
      return transientError(
        "peer-identity",
        `${title}: the server is ${identity === "" ? "unidentified" : identity}, expected ${verify.identities.join(" or ")}`,
      );
    },
  );
}

/**
 * Performs the TLS handshake as a server, and takes over the stream. It first waits for the context, and closes the
 * stream if that fails. The time limit starts when there is a context.
 */
export async function secureServer(
  stream: ByteStream,
  source: TlsContextSource,
  options: SecureServerOptions,
): Promise<SecureStream> {
  const title = `TLS from ${stream.remote.address}:${stream.remote.port}`;
  const context = await contextOrClose(stream, source);
  const wantsCertificate = options.clientCertificate !== "none";
  const judges = wantsCertificate && options.clientCertificate !== "any";
  const alertOf = judges && options.alerts === true ? (await import("./tls-alert.ts")).refusalAlert : undefined;
  const ownsRecords = options.ownRecords === true && alertOf === undefined && options.clientCertificate === "require";
  const records = ownsRecords ? await recordModule() : undefined;
  refuseClosed(stream, title);
  const transport = takeTransport(stream, { received: options.received, records });
  const secured = new TLSSocket(transport.socket, {
    isServer: true,
    secureContext: context.secureContext,
    requestCert: wantsCertificate,
    rejectUnauthorized: options.clientCertificate === "require",
    ...(options.alpn.length > 0 ? { ALPNProtocols: [...options.alpn] } : {}),
    SNICallback: (servername, done) => {
      Promise.resolve()
        .then(() => source(servername))
        .then(
          (named) => done(null, named.secureContext),
          (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
        );
    },
  });
  const guard = judges ? context.guard : undefined;
  const alert = alertOf?.(secured, transport.socket);
  transport.begin(secured, { isServer: true, alert });
  return await finish(
    transport,
    secured,
    "secure",
    { title, timeoutMs: options.timeoutMs, guard, peer: "client", alert },
    (_identity, certificate) => {
      if (options.clientCertificate === "any") return undefined;
      const fault = wantsCertificate ? verifyError(secured) : undefined;
      // OpenSSL reports a fault even for a client without a certificate.
      if (fault !== undefined && (options.clientCertificate === "require" || certificate !== undefined))
        return networkError(title, fault);
      const reason =
        wantsCertificate && certificate !== undefined
          ? (guard?.refuse(certificate, "client") ?? options.refuse?.(certificate, provesOnlyUris(guard, certificate)))
          : undefined;
      return reason === undefined ? undefined : transientError("peer-identity", `${title}: ${reason}`);
    },
  );
}

function provesOnlyUris(guard: PeerGuard | undefined, certificate: X509Certificate | undefined): boolean {
  return certificate !== undefined && guard?.provesOnlyUris?.(certificate) === true;
}

async function contextOrClose(stream: ByteStream, source: TlsContextSource): Promise<TlsContext> {
  try {
    return await source();
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/** Loaded on demand, because few processes have tunnels. */
async function recordModule(): Promise<typeof Records> {
  return await import("./record-handshake.ts");
}

/** The log message about who protects the records of HBONE connections in this process, Serin or Node's TLS. */
export async function describeRecords(): Promise<string> {
  const { describeRecordLayer, recordLayer } = await recordModule();
  return describeRecordLayer(recordLayer());
}

function refuseClosed(stream: ByteStream, title: string): void {
  const ours = stream instanceof HandleStream || stream instanceof SocketStream;
  if (ours && stream.fd < 0)
    throw tlsFault(transientError("connection-reset", `${title}: the connection was closed before the handshake`));
}

interface Handshake {
  /** The error messages begin with it. */
  readonly title: string;
  readonly timeoutMs: number;
  readonly guard: PeerGuard | undefined;
  readonly peer: "client" | "server";
  readonly alert?: RefusalAlert | undefined;
}

function finish(
  transport: Transport,
  secured: TLSSocket,
  event: "secure" | "secureConnect",
  { title, timeoutMs, guard, peer, alert }: Handshake,
  refusal: (peerIdentity: string, certificate: X509Certificate | undefined) => SerinError | undefined,
): Promise<SecureStream> {
  return new Promise((resolve, reject) => {
    const fail = (error: SerinError, isAlerted = false): void => {
      clearTimeout(timer);
      if (!isAlerted) secured.removeAllListeners().destroy();
      secured.on("error", () => undefined);
      reject(error);
    };
    const timer = setTimeout(
      () => fail(tlsFault(transientError("timeout", `${title}: no handshake in ${timeoutMs} ms`))),
      timeoutMs,
    );
    const signatureFault = watchSignature(secured);
    const failed = (error: unknown): void =>
      fail(error instanceof SerinError ? error : tlsFault(networkError(title, signatureFault() ?? error)));
    secured.once("error", failed);
    const gone = (): void =>
      fail(tlsFault(transientError("connection-reset", `${title}: the peer closed during the handshake`)));
    secured.once("close", gone);
    // Let the socket flow, because otherwise it does not report the peer's end. It decrypts no data before the
    // handshake ends.
    secured.once("end", gone).resume();
    secured.once(event, () => {
      clearTimeout(timer);
      // Call it only once, because Node returns nothing the second time.
      const peerCertificate = secured.getPeerX509Certificate();
      const peerIdentity = peerIdentityOf(peerCertificate);
      const refused = refusal(peerIdentity, peerCertificate);
      if (refused !== undefined) {
        secured.removeAllListeners();
        return fail(refused, alert?.send(verifyError(secured)?.code));
      }
      secured.off("error", failed).off("close", gone).off("end", gone);
      const alpnProtocol = typeof secured.alpnProtocol === "string" ? secured.alpnProtocol : undefined;
      const peerVerified = peerCertificate !== undefined && verifyError(secured) === undefined;
      const details = {
        peerIdentity,
        alpnProtocol,
        peerCertificate,
        peerVerified,
        tlsVersion: secured.getProtocol() ?? "",
        cipher: secured.getCipher().name,
      };
      const { stream: plain, destroy, onceClosed } = transport.secured(secured);
      const stream = Object.assign(plain, details);
      if (guard !== undefined && peerCertificate !== undefined) {
        const watched = guard.admitted(peerCertificate, peer, (reason) =>
          destroy(transientError("peer-identity", `${title}: ${reason}`)),
        );
        onceClosed(() => watched[Symbol.dispose]());
      }
      resolve(stream);
    });
  });
}

/**
 * The peer's SPIFFE id: the only `spiffe://` URI among its subject alternative names. Empty if there is none, or more
 * than one, which SPIFFE forbids.
 */
function peerIdentityOf(certificate: X509Certificate | undefined): string {
  const names = certificate?.subjectAltName;
  if (names === undefined) return "";
  const uris = alternativeNames(names).filter(({ kind, value }) => kind === "URI" && value.startsWith("spiffe://"));
  return uris.length === 1 ? (uris[0]?.value ?? "") : "";
}

interface TlsHandle {
  onerror: ((this: TlsHandle, error: unknown) => void) | undefined;
  verifyError(): NodeJS.ErrnoException | null | undefined;
}

function handleOf(secured: TLSSocket): TlsHandle {
  return (secured as unknown as { readonly _handle: TlsHandle })._handle;
}

function verifyError(secured: TLSSocket): NodeJS.ErrnoException | undefined {
  return handleOf(secured).verifyError() ?? undefined;
}

/**
 * Returns a function that says whether the signature on the client's certificate was wrong.
 *
 * A client's certificate may name a root, but be signed by another key. If the rest of such a handshake arrives later,
 * Node's TLS confuses the error that OpenSSL noted for the signature with a failure of the handshake itself. It then
 * does not say which signature was wrong.
 */
function watchSignature(secured: TLSSocket): () => Error | undefined {
  const handle = handleOf(secured);
  const { onerror } = handle;
  let fault: NodeJS.ErrnoException | undefined;
  handle.onerror = (error) => {
    // Read the error now, because the call would end the process later, when the handle may be gone. Without a
    // certificate, it would end the process even now.
    if (secured.getPeerX509Certificate() !== undefined) fault = verifyError(secured);
    onerror?.call(handle, error);
  };
  return () => (fault?.code === "CERT_SIGNATURE_FAILURE" ? fault : undefined);
}
