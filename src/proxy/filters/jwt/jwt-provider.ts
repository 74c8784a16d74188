import type { errors, JWSHeaderParameters } from "jose";
import type { Clock } from "../../../base/index.ts";
import type { StringMatcher } from "../../routing/matchers.ts";
import { jose } from "./jose.ts";
import type { JwksSource, KeySet } from "./jwks-source.ts";
import type { JwtLocation } from "./jwt-location.ts";
import { jwtProblems, type JwtProblem } from "./jwt-problem.ts";
import { strictJsonObject } from "./strict-json.ts";

export type JwtClaims = Readonly<Record<string, unknown>>;

/** A token split into its parts, not verified yet. */
export interface ParsedToken {
  readonly text: string;
  readonly header: JWSHeaderParameters;
  readonly claims: JwtClaims;
  /** The payload as received, in base64url. */
  readonly payload: string;
}

export interface JwtProviderOptions {
  readonly name: string;
  /** The issuer whose tokens are accepted. Empty means any issuer. */
  readonly issuer: string;
  /**
   * The accepted audiences, one of which a token must have. Empty means any audience. They are compared without scheme
   * and trailing slash.
   */
  readonly audiences: readonly string[];
  readonly subjects: StringMatcher | undefined;
  readonly requiresExpiration: boolean;
  /**
   * The maximum time from now until a token expires, whenever the token was issued. If it is set, a token must have an
   * expiry.
   */
  readonly maxLifetimeSeconds: number | undefined;
  readonly clockSkewSeconds: number;
  readonly locations: readonly JwtLocation[];
  readonly jwks: JwksSource;
  readonly forward: boolean;
  /** A header that carries the payload to the upstream, in base64url. */
  readonly payloadHeader: { readonly name: string; readonly pads: boolean } | undefined;
  /**
   * The keys under which the filter's metadata stores a token's payload, its header, and why a token failed. An empty
   * key stores nothing.
   */
  readonly payloadInMetadata: string;
  readonly headerInMetadata: string;
  readonly failedStatusInMetadata: string;
  /** Claims whose text is split at spaces into a list, such as `scope`. */
  readonly spaceDelimitedClaims: readonly string[];
  readonly claimHeaders: readonly { readonly header: string; readonly path: readonly string[] }[];
  readonly clearsRoute: boolean;
}

/** How many verified tokens are remembered, so that their signatures need not be verified again. */
const maxVerified = 1000;
const maxVerifiedLength = 4096;

/**
 * The maximum number of keys that are tried for one token. An issuer has only a few keys. Without this bound, a bad
 * token that names no key could cost a second of CPU time if its issuer publishes a megabyte of keys.
 */
const maxTriedKeys = 256;

export class JwtProvider {
  readonly options: JwtProviderOptions;
  readonly #clock: Clock;
  readonly #verified = new Set<string>();
  #verifiedWith: KeySet | undefined;

  constructor(options: JwtProviderOptions, clock: Clock) {
    this.options = options;
    this.#clock = clock;
  }

  issues(claims: JwtClaims): boolean {
    return this.options.issuer === "" || claims["iss"] === this.options.issuer;
  }

  /**
   * Returns what is wrong with a token. Returns undefined if the token is valid. `audiences` replaces the provider's
   * own list.
   */
  async check(
    token: ParsedToken,
    audiences: readonly string[] = this.options.audiences,
  ): Promise<JwtProblem | undefined> {
    const { claims } = token;
    if (!this.issues(claims)) return jwtProblems.unknownIssuer;
    const { subjects } = this.options;
    if (subjects !== undefined && (typeof claims["sub"] !== "string" || !subjects(claims["sub"])))
      return jwtProblems.subject;
    const early = this.#checkTime(claims);
    if (early !== undefined) return early;
    if (audiences.length > 0 && !audiencesOf(claims).some((audience) => audiences.includes(audience)))
      return jwtProblems.audience;
    return await this.#checkSignature(token);
  }

  #checkTime(claims: JwtClaims): JwtProblem | undefined {
    const { requiresExpiration, maxLifetimeSeconds, clockSkewSeconds } = this.options;
    const now = this.#clock.nowMs() / 1000;
    const expires = numberOf(claims["exp"]);
    const begins = numberOf(claims["nbf"]) ?? 0;
    if (expires === undefined && requiresExpiration) return jwtProblems.noExpiration;
    if (expires !== undefined && now > expires + clockSkewSeconds) return jwtProblems.expired;
    if (now + clockSkewSeconds < begins) return jwtProblems.notYetValid;
    if (maxLifetimeSeconds === undefined) return undefined;
    return expires === undefined || expires - now > maxLifetimeSeconds ? jwtProblems.lifetime : undefined;
  }

  async #checkSignature(token: ParsedToken): Promise<JwtProblem | undefined> {
    let keys: KeySet;
    try {
      keys = await this.options.jwks.keys();
    } catch {
      return jwtProblems.fetchFailed;
    }
    if (keys !== this.#verifiedWith) {
      this.#verified.clear();
      this.#verifiedWith = keys;
    }
    if (this.#verified.has(token.text)) return undefined;
    const problem = await verifySignature(token.text, keys);
    if (problem === undefined && token.text.length <= maxVerifiedLength) {
      if (this.#verified.size >= maxVerified) this.#verified.clear();
      this.#verified.add(token.text);
    }
    return problem;
  }
}

async function verifySignature(text: string, keys: KeySet): Promise<JwtProblem | undefined> {
  const { compactVerify, errors } = jose();
  try {
    await compactVerify(text, keys.find);
    return undefined;
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) return await verifyWithAny(text, error);
    if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JOSENotSupported) return jwtProblems.noKey;
    return jwtProblems.badSignature;
  }
}

/**
 * Verifies a token against several keys. A token may name no key, or an id that several keys share, so any of them may
 * have signed it. Only the first {@link maxTriedKeys} are tried.
 */
async function verifyWithAny(
  text: string,
  candidates: errors.JWKSMultipleMatchingKeys,
): Promise<JwtProblem | undefined> {
  let tried = 0;
  for await (const key of candidates) {
    if (++tried > maxTriedKeys) break;
    try {
      await jose().compactVerify(text, key);
      return undefined;
    } catch {
      // Try the next key: this one did not sign the token.
    }
  }
  return jwtProblems.badSignature;
}

/** Parses a token without verifying it. Returns the problem if its claims cannot be read. */
export function parseToken(text: string): ParsedToken | JwtProblem {
  const parts = text.split(".");
  const [header, payload, signature] = parts;
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined)
    return jwtProblems.badFormat;
  if (!parts.every((part) => /^[A-Za-z0-9_-]*$/.test(part))) return jwtProblems.badFormat;
  const parsedHeader = strictJsonObject(Buffer.from(header, "base64url"));
  if (parsedHeader === undefined || typeof parsedHeader["alg"] !== "string") return jwtProblems.badHeader;
  const claims = strictJsonObject(Buffer.from(payload, "base64url"));
  if (claims === undefined || !hasValidTimes(claims) || !hasValidNames(claims)) return jwtProblems.badPayload;
  return { text, header: parsedHeader, claims, payload };
}

/** The first time that does not fit into 64 bits. */
const timesEnd = 2 ** 64;

/**
 * Whether the times are valid. A time of another type or out of range would not limit the token at all, so it makes the
 * token invalid.
 */
function hasValidTimes(claims: JwtClaims): boolean {
  return ["exp", "nbf", "iat"].every((name) => {
    const value = claims[name];
    return value === undefined || (typeof value === "number" && value >= 0 && value < timesEnd);
  });
}

function hasValidNames({ sub, iss, aud }: JwtClaims): boolean {
  const isText = (value: unknown): boolean => value === undefined || typeof value === "string";
  return (
    isText(sub) &&
    isText(iss) &&
    (isText(aud) || (Array.isArray(aud) && aud.every((audience) => typeof audience === "string")))
  );
}

function audiencesOf(claims: JwtClaims): string[] {
  const { aud } = claims;
  const list = Array.isArray(aud) ? aud : [aud];
  return list.filter((audience) => typeof audience === "string").map(plainAudience);
}

/** An audience without scheme and trailing slash, the form in which audiences are compared. */
export function plainAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, "").replace(/\/$/, "");
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
