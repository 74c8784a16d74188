/** The content types of records (RFC 8446, section 5.1). */
export const contentType = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

export const recordHeaderBytes = 5;
/** The largest content of a record, without type and padding (section 5.1). */
export const maxContentBytes = 16_384;
/** The length of the authentication tag of AES-GCM and of ChaCha20-Poly1305. */
export const tagBytes = 16;
/** The largest protected part of a record (section 5.2). */
export const maxProtectedBytes = maxContentBytes + 256;
/** How much longer a record without padding is than its content: the header, the content's type and the tag. */
export const recordOverheadBytes = recordHeaderBytes + 1 + tagBytes;
/** The length of the nonce of every cipher suite. */
export const nonceBytes = 12;

/** The alerts that this code sends or treats in a special way (section 6). */
export const alertCode = {
  closeNotify: 0,
  unexpectedMessage: 10,
  badRecordMac: 20,
  recordOverflow: 22,
  illegalParameter: 47,
  decodeError: 50,
  internalError: 80,
  userCanceled: 90,
} as const;

const alertNames: Readonly<Record<number, string>> = {
  0: "close_notify",
  10: "unexpected_message",
  20: "bad_record_mac",
  22: "record_overflow",
  40: "handshake_failure",
  42: "bad_certificate",
  43: "unsupported_certificate",
  44: "certificate_revoked",
  45: "certificate_expired",
  46: "certificate_unknown",
  47: "illegal_parameter",
  48: "unknown_ca",
  49: "access_denied",
  50: "decode_error",
  51: "decrypt_error",
  70: "protocol_version",
  71: "insufficient_security",
  80: "internal_error",
  86: "inappropriate_fallback",
  90: "user_canceled",
  109: "missing_extension",
  110: "unsupported_extension",
  112: "unrecognized_name",
  113: "bad_certificate_status_response",
  115: "unknown_psk_identity",
  116: "certificate_required",
  120: "no_application_protocol",
};

function alertName(code: number): string {
  return alertNames[code] ?? `alert ${code}`;
}

/** The peer has broken the protocol. The connection must end with this alert. */
export class RecordError extends Error {
  override readonly name = "RecordError";
  readonly alert: number;

  constructor(alert: number, message: string) {
    super(message);
    this.alert = alert;
  }
}

/** The peer has ended the connection with this alert. */
export class PeerAlertError extends Error {
  override readonly name = "PeerAlertError";
  readonly alert: number;

  constructor(alert: number) {
    super(`the peer sent the alert ${alertName(alert)}`);
    this.alert = alert;
  }
}
