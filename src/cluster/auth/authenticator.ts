import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { DerReader, derTags, readIssuer } from "../../x509/index.ts";
import { readSubject } from "./certificate-request.ts";
import type { ServiceAccountTokens } from "./tokens.ts";
import { anonymousUser, type User } from "./user.ts";

export class Authenticator {
  readonly #tokens: ServiceAccountTokens;
  readonly #byConnection = new WeakMap<object, User | "none">();

  constructor(tokens: ServiceAccountTokens) {
    this.#tokens = tokens;
  }

  /**
   * The user of a request. Returns undefined for wrong credentials, and the anonymous user for a request without
   * credentials. `connection` identifies the connection in the cache.
   */
  authenticate(connection: object, socket: Socket, headers: IncomingHttpHeaders): User | undefined {
    const certified = this.#certified(connection, socket);
    if (certified !== undefined) return certified;
    const authorization = headers.authorization ?? webSocketToken(headers);
    if (authorization === undefined) return anonymousUser;
    const token = /^bearer +(.*)$/i.exec(authorization)?.[1]?.trim();
    if (token === undefined || token === "") return undefined;
    return this.#tokens.verify(token)?.user;
  }

  #certified(connection: object, socket: Socket): User | undefined {
    let user = this.#byConnection.get(connection);
    if (user === undefined) {
      user = (socket instanceof TLSSocket ? userOfCertificate(socket) : undefined) ?? "none";
      this.#byConnection.set(connection, user);
    }
    return user === "none" ? undefined : user;
  }
}

/**
 * The beginning of a WebSocket subprotocol that is a client's token. The server must not pass it on to pods or nodes.
 */
export const tokenProtocolPrefix = "base64url.bearer.authorization.k8s.io.";

/**
 * The token in a WebSocket subprotocol, as a `Bearer` value. Browsers send it this way, because they cannot set headers
 * of a WebSocket request.
 */
function webSocketToken(headers: IncomingHttpHeaders): string | undefined {
  const offered = headers["sec-websocket-protocol"]?.split(",").map((word) => word.trim());
  const found = offered?.find((word) => word.startsWith(tokenProtocolPrefix));
  return found === undefined
    ? undefined
    : `Bearer ${Buffer.from(found.slice(tokenProtocolPrefix.length), "base64url").toString("utf8")}`;
}

/** Reads the user from CN and the groups from O of a client certificate that the cluster's CA signed. */
function userOfCertificate(socket: TLSSocket): User | undefined {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? undefined : userOfSubject(certificate.raw);
}

/**
 * The user that a certificate's subject names. The subject is read from DER: OpenSSL and Node.js escape characters in
 * several ways, so two different subjects could have the same text.
 */
export function userOfSubject(certificate: Buffer): User | undefined {
  let subject: ReturnType<typeof readSubject>;
  try {
    subject = readSubject(new DerReader(readIssuer(certificate).subject).next(derTags.sequence));
  } catch {
    // The subject has a string type that {@link readSubject} does not support. No signer of the cluster accepts such a
    // subject.
    return undefined;
  }
  if (subject.commonName === "") return undefined;
  const fingerprint = createHash("sha256").update(certificate).digest("hex");
  return {
    name: subject.commonName,
    groups: [...subject.organizations, "system:authenticated"],
    extra: { "authentication.kubernetes.io/credential-id": [`X509SHA256=${fingerprint}`] },
  };
}
