/** Why a token was refused. The messages are Envoy's, because clients and tests compare them. */
export interface JwtProblem {
  readonly kind: "missing" | "unknown-issuer" | "audience" | "invalid";
  readonly message: string;
}

export const jwtProblems = {
  missing: { kind: "missing", message: "Jwt is missing" },
  unknownIssuer: { kind: "unknown-issuer", message: "Jwt issuer is not configured" },
  audience: { kind: "audience", message: "Audiences in Jwt are not allowed" },
  subject: { kind: "invalid", message: "Jwt subject is not allowed" },
  expired: { kind: "invalid", message: "Jwt is expired" },
  notYetValid: { kind: "invalid", message: "Jwt not yet valid" },
  noExpiration: { kind: "invalid", message: "Jwt has no expiration" },
  lifetime: { kind: "invalid", message: "Jwt lifetime is too long" },
  badFormat: {
    kind: "invalid",
    message: "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
  },
  badHeader: { kind: "invalid", message: "Jwt header is an invalid JSON" },
  badPayload: { kind: "invalid", message: "Jwt payload is an invalid JSON" },
  noKey: { kind: "invalid", message: "Jwks doesn't have key to match kid or alg from Jwt" },
  badSignature: { kind: "invalid", message: "Jwt verification fails" },
  fetchFailed: { kind: "invalid", message: "Jwks remote fetch is failed" },
} as const satisfies Readonly<Record<string, JwtProblem>>;
