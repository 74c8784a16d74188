/** A cipher suite of TLS 1.3 (RFC 8446, appendix B.4). */
export interface Suite {
  readonly hash: "sha256" | "sha384";
  readonly cipher: "aes-128-gcm" | "aes-256-gcm" | "chacha20-poly1305";
  readonly keyBytes: 16 | 32;
}

/** Keyed by OpenSSL's names. */
const suites: Readonly<Record<string, Suite>> = {
  TLS_AES_128_GCM_SHA256: { hash: "sha256", cipher: "aes-128-gcm", keyBytes: 16 },
  TLS_AES_256_GCM_SHA384: { hash: "sha384", cipher: "aes-256-gcm", keyBytes: 32 },
  TLS_CHACHA20_POLY1305_SHA256: { hash: "sha256", cipher: "chacha20-poly1305", keyBytes: 32 },
};

export function suiteOf(name: string): Suite | undefined {
  return Object.hasOwn(suites, name) ? suites[name] : undefined;
}

/**
 * How many records one key may protect. Before that, the sender must change its key. RFC 8446, section 5.5, allows
 * 2^24.5 with AES-GCM.
 */
export const maxRecordsOfKey = 2 ** 24;
