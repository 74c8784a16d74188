import { X509Certificate } from "node:crypto";
import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { create, fromBinary, toBinary, type JsonObject } from "@bufbuild/protobuf";
import { transientError, truncated, type SerinError } from "../../../base/index.ts";
import { JoinedBytes } from "../../../base/joined-bytes/index.ts";
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from "../../../wire/discovery/index.ts";
import { discoveryMethods } from "../../../wire/xds/index.ts";
import { connectionError } from "../http-get.ts";

/** The time limit without any data. */
const timeoutMs = 2000;
/** The time limit of the whole answer. */
const deadlineMs = 10_000;
const bodyLimitBytes = 32 * 1024 * 1024;
/** The default window of 64 kB would cost a long answer many round trips. */
const windowBytes = 4 << 20;
/** A session without a question for this long ends. */
const idleMs = 10_000;
const messageCharacters = 240;

/** Istio's type of debug pages over discovery: the resource's name is the path below `/debug/`. */
const debugType = "istio.io/debug";
/** The answer of Go's server for a path that does not exist, which pilots of both kinds send. */
const notFound = "404 page not found\n";

/** Statuses of gRPC. */
const grpcStatus = { ok: 0, permissionDenied: 7, unauthenticated: 16 } as const;

/** How a server proves that it is a pilot. */
export interface PilotTrust {
  /** The roots that may have signed its certificate, as PEM. */
  readonly roots: readonly string[];
  /** Its certificate must be for one of these names. */
  readonly names: readonly string[];
}

/** The caller, as it names itself in a discovery request. The token must be of this namespace and account. */
export interface DebugCaller {
  readonly id: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly token: string;
}

/**
 * One HTTP/2 connection to a pilot's discovery port. It opens only if the server proves by its certificate that it is a
 * pilot, so no one else gets a token.
 */
export class DebugSession {
  readonly #session: ClientHttp2Session;
  readonly #where: string;

  private constructor(session: ClientHttp2Session, where: string) {
    this.#session = session;
    this.#where = where;
  }

  static async open(address: string, port: number, trust: PilotTrust): Promise<DebugSession> {
    const where = `${address}:${port}`;
    const socket = await provenSocket({ host: address, port }, trust);
    const session = connect(`https://${where}`, {
      createConnection: () => socket,
      settings: { initialWindowSize: windowBytes, enablePush: false },
    });
    session.once("connect", () => session.setLocalWindowSize(2 * windowBytes));
    // Each open request reports the failure to its own caller.
    session.on("error", () => undefined);
    session.once("goaway", () => session.close());
    session.setTimeout(idleMs, () => session.close());
    session.unref();
    return new DebugSession(session, where);
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  close(): void {
    this.#session.close();
  }

  /**
   * Asks for a path below `/debug/`. Throws a transient error, for an unknown path with the code `http-status` and the
   * reason 404, and for a refused token with the reason 401.
   */
  async ask(path: string, caller: DebugCaller): Promise<string> {
    const { resources } = fromBinary(DiscoveryResponseSchema, await this.#exchange(requestFor(path, caller), caller));
    const text = Buffer.from(resources[0]?.value ?? []).toString("utf8");
    if (text === notFound) throw answered(this.#where, "404");
    return text;
  }

  #exchange(message: Uint8Array, { token }: DebugCaller): Promise<Uint8Array> {
    const where = this.#where;
    return new Promise((resolve, reject) => {
      const deadline = AbortSignal.timeout(deadlineMs);
      const stream = this.#session.request(
        {
          ":method": "POST",
          ":path": discoveryMethods.stateOfTheWorldAds,
          "content-type": "application/grpc",
          te: "trailers",
          authorization: `Bearer ${token}`,
        },
        { signal: deadline },
      );
      const end = (error: SerinError): void => {
        reject(error);
        stream.close(constants.NGHTTP2_CANCEL);
      };
      const fail = (error: NodeJS.ErrnoException): void =>
        end(
          deadline.aborted
            ? unreachable(`${where} did not finish its answer in ${deadlineMs} ms`)
            : connectionError(where, error),
        );
      const body = new JoinedBytes();
      stream.setTimeout(timeoutMs, () => {
        fail(new Error(`${where} did not answer in ${timeoutMs} ms`));
        // Later questions would wait for the same silent connection.
        this.#session.destroy();
      });
      stream.on("error", fail);
      stream.on("response", (headers) => {
        const fault = faultOf(where, headers);
        if (fault !== undefined) end(fault);
      });
      stream.on("trailers", (trailers: IncomingHttpHeaders) => {
        const fault = faultOf(where, trailers);
        if (fault !== undefined) end(fault);
      });
      stream.on("data", (chunk: Buffer) => {
        body.add(chunk);
        if (body.length > bodyLimitBytes) return end(unreachable(`${where} sent more than ${bodyLimitBytes} bytes`));
        const answer = firstMessage(body.view());
        if (answer === undefined) return;
        resolve(answer);
        stream.close(constants.NGHTTP2_CANCEL);
      });
      stream.on("close", () => reject(unreachable(`${where} closed the connection in the middle of its answer`)));
      stream.write(framed(message));
    });
  }
}

/** Connects, and checks the server's certificate before anything is sent. */
async function provenSocket(
  to: { readonly host: string; readonly port: number },
  trust: PilotTrust,
): Promise<TLSSocket> {
  const where = `${to.host}:${to.port}`;
  const [servername = ""] = trust.names;
  // Without roots, Node would trust the world's.
  if (trust.roots.length === 0) throw unproven(where, "no root of it is known");
  return await new Promise((resolve, reject) => {
    const socket = connectTls({
      ...to,
      servername,
      ca: [...trust.roots],
      rejectUnauthorized: true,
      checkServerIdentity: (_, { raw }) => otherName(new X509Certificate(raw), trust),
      ALPNProtocols: ["h2"],
      timeout: timeoutMs,
    });
    const fail = (error: SerinError): void => {
      socket.destroy();
      reject(error);
    };
    socket.once("timeout", () => fail(unreachable(`${where} did not end the TLS handshake in ${timeoutMs} ms`)));
    socket.on("error", (error: NodeJS.ErrnoException) =>
      fail(isRefused(socket) ? unproven(where, faultIn(error)) : connectionError(where, error)),
    );
    socket.once("secureConnect", () => {
      if (socket.alpnProtocol !== "h2") return fail(unreachable(`${where} does not speak HTTP/2`));
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}

/**
 * The error for a certificate without an expected name. Only subject alternative names count: a workload may choose the
 * common name of its own certificate.
 */
function otherName(certificate: X509Certificate, { names }: PilotTrust): Error | undefined {
  const options = { subject: "never", wildcards: false } as const;
  if (names.some((name) => certificate.checkHost(name, options) !== undefined)) return undefined;
  const { subjectAltName: all = "" } = certificate;
  const found = all === "" ? "no name" : truncated(all, messageCharacters);
  return new Error(`its certificate is for ${found}, and not for ${names.join(" or ")}`);
}

/** Whether the server's certificate was refused. Node names the fault in the socket only then. */
function isRefused({ authorizationError }: { readonly authorizationError: unknown }): boolean {
  return authorizationError !== undefined && authorizationError !== null;
}

/** OpenSSL's fault, without Node's advice about its own options. */
function faultIn({ message }: Error): string {
  return message.replace(/; if the root CA is installed locally.*$/, "");
}

function requestFor(path: string, { id, namespace, serviceAccount }: DebugCaller): Uint8Array {
  const metadata: JsonObject = {
    NAMESPACE: namespace,
    SERVICE_ACCOUNT: serviceAccount,
    // Clients that are no proxies have this version, so that pilots expect no old features of them.
    ISTIO_VERSION: "65536.65536.65536",
  };
  return toBinary(
    DiscoveryRequestSchema,
    create(DiscoveryRequestSchema, {
      node: { id: `sidecar~0.0.0.0~${id}~${namespace}.svc.cluster.local`, metadata },
      typeUrl: debugType,
      resourceNames: [path],
    }),
  );
}

const frameHeadBytes = 5;

function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(frameHeadBytes);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The first message of a stream. Undefined while it is incomplete. */
function firstMessage(bytes: Buffer): Buffer | undefined {
  if (bytes.length < frameHeadBytes) return undefined;
  const end = frameHeadBytes + bytes.readUInt32BE(1);
  return bytes.length < end ? undefined : bytes.subarray(frameHeadBytes, end);
}

/** The error of a response that is no answer. Undefined if the headers tell of none. */
function faultOf(where: string, headers: IncomingHttpHeaders): SerinError | undefined {
  const http = headers[":status"];
  if (http !== undefined && Number(http) !== 200) return answered(where, String(http));
  const status = headers["grpc-status"];
  if (status === undefined || Number(status) === grpcStatus.ok) return undefined;
  const text = headers["grpc-message"];
  const message = decoded(typeof text === "string" ? text : "");
  if (Number(status) === grpcStatus.unauthenticated) return answered(where, "401", message);
  if (Number(status) === grpcStatus.permissionDenied) return answered(where, "403", message);
  return unreachable(`${where} answered with gRPC status ${String(status)}: ${message}`);
}

function decoded(message: string): string {
  try {
    return truncated(decodeURIComponent(message), messageCharacters);
  } catch {
    return truncated(message, messageCharacters);
  }
}

function answered(where: string, reason: string, message = ""): SerinError {
  const text = message === "" ? "" : `: ${message}`;
  return transientError("http-status", `${where} answered with HTTP status ${reason}${text}`, { reason });
}

function unreachable(message: string): SerinError {
  return transientError("pod-unreachable", message);
}

function unproven(where: string, fault: string): SerinError {
  return transientError(
    "peer-identity",
    `${where} does not prove that it is this control plane: ${fault} (its root must be in the ConfigMap istio-ca-root-cert of its namespace, or in the caBundle of its injection webhook)`,
  );
}
