import { createCipheriv } from "node:crypto";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import {
  contentType,
  putNonce,
  putRecordHeader,
  recordHeaderBytes,
  secretOf,
  suiteOf,
  tagBytes,
  type Suite,
} from "../wire/tls13/index.ts";
import { trafficKeyOf } from "./tls-keys.ts";

/** How long a refused client may take to read the alert, in milliseconds. Then the connection is destroyed. */
const lingerMs = 1000;

/**
 * The alerts that OpenSSL sends for verification errors if it verifies peers itself. Other errors have the alert
 * `certificate_unknown`.
 */
const alertOfError: Readonly<Record<string, number>> = {
  CERT_REVOKED: 44,
  CERT_HAS_EXPIRED: 45,
  CRL_HAS_EXPIRED: 45,
  CERT_NOT_YET_VALID: 42,
  CERT_REJECTED: 42,
  CERT_UNTRUSTED: 42,
  CRL_NOT_YET_VALID: 42,
  CERT_SIGNATURE_FAILURE: 51,
  INVALID_PURPOSE: 43,
  CERT_CHAIN_TOO_LONG: 48,
  DEPTH_ZERO_SELF_SIGNED_CERT: 48,
  INVALID_CA: 48,
  PATH_LENGTH_EXCEEDED: 48,
  SELF_SIGNED_CERT_IN_CHAIN: 48,
  UNABLE_TO_GET_CRL: 48,
  UNABLE_TO_GET_ISSUER_CERT: 48,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 48,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 48,
};
const certificateUnknown = 46;

export interface RefusalAlert {
  /**
   * Ends the connection with the alert for OpenSSL's verification error `code`, or with `certificate_unknown` if it is
   * undefined. Returns false, and sends nothing, if the connection does not allow this.
   */
  send(code: string | undefined): boolean;
  /**
   * Whether the alert was sent, or will be sent in this turn of the event loop. The connection then ends by itself
   * within a second.
   */
  readonly isSent: boolean;
}

/**
 * Sends the alert that OpenSSL would send for a client's certificate. Node's TLS server verifies the certificate after
 * the handshake and can only close the connection then, so the client would not learn why. The alert is the first
 * record after those of the handshake. This needs TLS 1.3, because Node does not tell enough about older handshakes.
 */
export function refusalAlert(secured: TLSSocket, transport: Socket): RefusalAlert {
  let secret: Buffer | undefined;
  const learn = (line: Buffer): void => {
    secret ??= secretOf(line, "SERVER_TRAFFIC_SECRET_0");
  };
  secured.on("keylog", learn);
  const alert = {
    isSent: false,
    send: (code: string | undefined): boolean => {
      const suite = suiteOf(secured.getCipher().name);
      if (secret === undefined || suite === undefined || secured.getProtocol() !== "TLSv1.3") return false;
      // How many records precede the alert: OpenSSL sends two session tickets, or one after a resumption.
      const sent = secured.isSessionReused() ? 1 : 2;
      const record = fatalAlert(suite, secret, sent, (code && alertOfError[code]) || certificateUnknown);
      sendAndLinger(secured, transport, record);
      alert.isSent = true;
      return true;
    },
  };
  return alert;
}

/**
 * Sends the alert, and reads for a while before closing. With unread data, the kernel would reset the connection, and
 * the client could lose the alert.
 */
function sendAndLinger(secured: TLSSocket, transport: Socket, record: Buffer): void {
  const close = (): void => {
    clearTimeout(timer);
    secured.destroy();
  };
  const timer = setTimeout(close, lingerMs);
  secured.once("end", close).once("close", close).resume();
  // The alert must follow the handshake's last records, which Node writes after this event.
  setImmediate(() => {
    if (!transport.destroyed) transport.end(record);
  });
}

function fatalAlert(suite: Suite, secret: Buffer, sequence: number, description: number): Buffer {
  const { key, iv } = trafficKeyOf(suite, secret);
  const nonce = Buffer.alloc(iv.length);
  putNonce(nonce, 0, iv, sequence);
  const level = 2;
  const plain = Buffer.from([level, description, contentType.alert]);
  const header = Buffer.alloc(recordHeaderBytes);
  putRecordHeader(header, 0, plain.length + tagBytes);
  const options = { authTagLength: tagBytes };
  const cipher =
    suite.cipher === "chacha20-poly1305"
      ? createCipheriv(suite.cipher, key, nonce, options)
      : createCipheriv(suite.cipher, key, nonce, options);
  cipher.setAAD(header, { plaintextLength: plain.length });
  return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}
