import type { ErrorEntry } from "./error-entry.ts";

export const trustErrors = {
  "tls-failed": {
    meaning: "The TLS handshake failed. The error's `reason` contains OpenSSL's error name.",
    remedy:
      "Check the certificates and the protocols of both sides. `serin proxy-config secret` shows those of a proxy.",
  },
  "no-server-name": {
    meaning: "The client sends no server name, which the listener needs to choose the destination.",
    remedy: "Use a client that sends SNI.",
  },
  "peer-identity": {
    meaning: "The peer's certificate has another identity than the expected one.",
    remedy: "Check the peer's service account, and the trust domains of both sides.",
  },
  "tls-material-invalid": {
    meaning: "A certificate, key or revocation list cannot be read, or does not fit.",
    remedy: "Replace the file or Secret that the message names.",
    silent: true,
  },
  "bad-csr": {
    meaning: "The certificate request cannot be read, or asks for something that is not supported.",
    remedy: "Correct the request.",
  },
  "bad-der": {
    meaning: "A certificate or key is not valid DER.",
    remedy: "Replace the certificate or key.",
  },
  "bad-key": {
    meaning: "A key has a type or size that is not supported.",
    remedy: "Use RSA of at least 2048 bits or ECDSA with P-256 or P-384.",
  },
  "bad-signature": {
    meaning: "A certificate is signed by an algorithm that is not supported.",
    remedy: "Use SHA-256, SHA-384 or SHA-512 with RSA or ECDSA.",
  },
  "bad-ca-secret": {
    meaning: "The Secret of the certificate authority does not have a usable key and certificate.",
    remedy: "Correct the Secret that the message names.",
    silent: true,
  },
  "ca-secret-changed": {
    meaning: "Somebody else changed the authority's Secret at the same time.",
    remedy: "Nothing. The control plane reads it again.",
    silent: true,
  },
  "ca-not-ready": {
    meaning: "The certificate authority has expired, or has not started.",
    remedy: "Plug in a new authority, or look at istiod's log.",
  },
  "certificate-refused": {
    meaning: "The certificate authority did not sign, or its answer is not usable.",
    remedy: "Look at istiod's log for the reason.",
  },
  "certificate-wait": {
    meaning: "No certificate arrived in time.",
    remedy: "Check that the pod reaches istiod, and look at istiod's log.",
  },
  "certificate-forgotten": {
    meaning: "The identity is no longer needed on this node.",
    remedy: "Nothing.",
    silent: true,
  },
  "key-set-unreadable": {
    meaning: "A server's SPIFFE bundle or JSON web key set cannot be read.",
    remedy: "Check the URL and its answer.",
  },
  "bad-signer": {
    meaning: "The certificate request names an unsupported signer.",
    remedy: "Leave the signer out.",
  },
  "bad-identity": {
    meaning: "The requested identity is not a SPIFFE id of a service account.",
    remedy: "Correct the identity.",
  },
  "wrong-identity": {
    meaning: "A proxy says that it belongs to another account than its credentials prove.",
    remedy: "Check the proxy's namespace and service account.",
  },
  unauthenticated: {
    meaning: "The caller gave no credentials that the control plane accepts.",
    remedy: "Check the caller's token or certificate, and its cluster's name.",
  },
  "not-allowed": {
    meaning: "The caller is authenticated, but may not do this.",
    remedy: "Grant the right that the message names.",
    silent: true,
  },
  "ttl-too-long": {
    meaning: "The requested lifetime of a certificate is too long.",
    remedy: "Request a shorter lifetime, or raise MAX_WORKLOAD_CERT_TTL.",
  },
  "secret-missing": {
    meaning: "There is no such Secret.",
    remedy: "Create the Secret, or correct the reference.",
  },
  "secret-foreign": {
    meaning: "The Secret does not belong to the service account.",
    remedy: "Choose another name for the Secret, or delete it.",
  },
} as const satisfies Readonly<Record<string, ErrorEntry>>;
