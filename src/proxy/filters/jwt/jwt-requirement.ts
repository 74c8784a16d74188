import type { FilterRequest } from "../http-filter.ts";
import { locationKey, tokenAt, type JwtLocation } from "./jwt-location.ts";
import { jwtProblems, type JwtProblem } from "./jwt-problem.ts";
import { parseToken, type JwtProvider, type ParsedToken } from "./jwt-provider.ts";

export type JwtRequirement =
  /** A valid token of this provider. `audiences` replaces the provider's own list. */
  | { readonly kind: "provider"; readonly provider: JwtProvider; readonly audiences: readonly string[] | undefined }
  | { readonly kind: "any" | "all"; readonly requirements: readonly JwtRequirement[] }
  /** No token, or only valid tokens of these providers. With `orFailed`, requests with invalid tokens pass too. */
  | { readonly kind: "allow-missing"; readonly providers: readonly JwtProvider[]; readonly orFailed: boolean };

export interface AcceptedToken {
  readonly provider: JwtProvider;
  readonly location: JwtLocation;
  readonly token: ParsedToken;
}

/** The result of verifying a request's tokens. Without a problem, the request may pass. */
export interface JwtVerdict {
  readonly problem: JwtProblem | undefined;
  readonly accepted: readonly AcceptedToken[];
  /** The provider whose token failed, if known. */
  readonly failed?: JwtProvider;
}

export async function verifyTokens(requirement: JwtRequirement, request: FilterRequest): Promise<JwtVerdict> {
  switch (requirement.kind) {
    case "provider":
      return await verifyOf(requirement.provider, requirement.audiences, request);
    case "all":
      return await verifyAll(requirement.requirements, request);
    case "any":
      return await verifyAny(requirement.requirements, request);
    case "allow-missing":
      return await verifyPresent(requirement.providers, requirement.orFailed, request);
  }
}

async function verifyAll(requirements: readonly JwtRequirement[], request: FilterRequest): Promise<JwtVerdict> {
  const accepted: AcceptedToken[] = [];
  for (const requirement of requirements) {
    const verdict = await verifyTokens(requirement, request);
    if (verdict.problem !== undefined) return verdict;
    accepted.push(...verdict.accepted);
  }
  return { problem: undefined, accepted };
}

/**
 * If several problems exist, reports one about a token's content before one about a missing token or an unknown issuer.
 */
async function verifyAny(requirements: readonly JwtRequirement[], request: FilterRequest): Promise<JwtVerdict> {
  let worst: JwtVerdict | undefined;
  for (const requirement of requirements) {
    const verdict = await verifyTokens(requirement, request);
    if (verdict.problem === undefined) return verdict;
    if (worst === undefined || rank(verdict.problem) > rank(worst.problem)) worst = verdict;
  }
  return worst ?? { problem: jwtProblems.missing, accepted: [] };
}

function rank(problem: JwtProblem | undefined): number {
  return problem?.kind === "missing" ? 0 : problem?.kind === "unknown-issuer" ? 1 : 2;
}

/**
 * Verifies all tokens at the provider's locations. Each must be valid, because the upstream might use an invalid one
 * beside a valid one.
 */
async function verifyOf(
  provider: JwtProvider,
  audiences: readonly string[] | undefined,
  request: FilterRequest,
): Promise<JwtVerdict> {
  const accepted: AcceptedToken[] = [];
  for (const location of provider.options.locations) {
    const text = tokenAt(location, request);
    if (text === undefined) continue;
    const token = parseToken(text);
    const problem = "message" in token ? token : await provider.check(token, audiences);
    if (problem !== undefined || "message" in token) return { problem, accepted: [], failed: provider };
    accepted.push({ provider, location, token });
  }
  return accepted.length === 0 ? { problem: jwtProblems.missing, accepted } : { problem: undefined, accepted };
}

async function verifyPresent(
  providers: readonly JwtProvider[],
  orFailed: boolean,
  request: FilterRequest,
): Promise<JwtVerdict> {
  const accepted: AcceptedToken[] = [];
  const seen = new Set<string>();
  for (const location of providers.flatMap((provider) => provider.options.locations)) {
    const key = locationKey(location);
    if (seen.has(key)) continue;
    seen.add(key);
    const text = tokenAt(location, request);
    if (text === undefined) continue;
    const found = await verifyAt(location, text, providers);
    if ("token" in found) accepted.push(found);
    else if (!orFailed)
      return {
        problem: found.problem,
        accepted: [],
        ...(found.provider === undefined ? {} : { failed: found.provider }),
      };
  }
  return { problem: undefined, accepted };
}

/** Verifies a token that several providers at the same location may have issued. */
async function verifyAt(
  location: JwtLocation,
  text: string,
  providers: readonly JwtProvider[],
): Promise<AcceptedToken | { readonly problem: JwtProblem; readonly provider: JwtProvider | undefined }> {
  const token = parseToken(text);
  if ("message" in token) return { problem: token, provider: undefined };
  const key = locationKey(location);
  const provider = providers.find(
    (candidate) =>
      candidate.issues(token.claims) && candidate.options.locations.some((other) => locationKey(other) === key),
  );
  if (provider === undefined) return { problem: jwtProblems.unknownIssuer, provider };
  const problem = await provider.check(token);
  return problem === undefined ? { provider, location, token } : { problem, provider };
}
