import { utf8HeadText } from "../../terms/header-text.ts";
import { responseFlags } from "../../terms/response-flags.ts";
import type { RequestMatcher } from "../../routing/matchers.ts";
import type { FilterCounter, FilterStatistics } from "../../terms/filter-statistics.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "../http-filter.ts";
import { removeToken } from "./jwt-location.ts";
import type { JwtProblem } from "./jwt-problem.ts";
import type { JwtClaims, JwtProvider } from "./jwt-provider.ts";
import { verifyTokens, type AcceptedToken, type JwtRequirement, type JwtVerdict } from "./jwt-requirement.ts";

export interface JwtRule {
  readonly matches: RequestMatcher;
  /** The condition that matching requests must satisfy. Undefined if they need no token. */
  readonly requirement: JwtRequirement | undefined;
}

/**
 * A route's requirement, by its name in the filter. Undefined if the route's requests need no token, whatever the
 * filter's rules say.
 */
export class JwtRouteSettings {
  readonly requirementName: string | undefined;

  constructor(requirementName: string | undefined) {
    this.requirementName = requirementName;
  }
}

export interface JwtAuthnSettings {
  /** The first matching rule applies. A request without a matching rule passes. */
  readonly rules: readonly JwtRule[];
  /** All providers, including those whose tokens no rule requires. */
  readonly providers: readonly JwtProvider[];
  readonly named: ReadonlyMap<string, JwtRequirement>;
  readonly bypassesPreflights: boolean;
  /** Whether a refused client gets only the status, without a body that names the reason. */
  readonly stripsFailure: boolean;
}

const metadataName = "envoy.filters.http.jwt_authn";

export class JwtAuthnFilter implements HttpFilter {
  readonly name: string;
  readonly #settings: JwtAuthnSettings;
  readonly #claimHeaders: ReadonlySet<string>;
  readonly #allowed: FilterCounter;
  readonly #denied: FilterCounter;

  constructor(name: string, settings: JwtAuthnSettings, statistics: FilterStatistics, statPrefix: string) {
    this.name = name;
    this.#settings = settings;
    this.#claimHeaders = new Set(
      settings.providers.flatMap(({ options }) => [
        ...(options.payloadHeader === undefined ? [] : [options.payloadHeader.name]),
        ...options.claimHeaders.map(({ header }) => header),
      ]),
    );
    this.#allowed = statistics.counter(`${statPrefix}jwt_authn.allowed`);
    this.#denied = statistics.counter(`${statPrefix}jwt_authn.denied`);
  }

  onRequest(request: FilterRequest): LocalReply | undefined | Promise<LocalReply | undefined> {
    if (this.#settings.bypassesPreflights && isPreflight(request)) return this.#removeTold(request);
    const own = request.route?.filterConfigs.get(this.name);
    if (own instanceof JwtRouteSettings) {
      if (own.requirementName === undefined) return this.#removeTold(request);
      const named = this.#settings.named.get(own.requirementName);
      return named === undefined
        ? this.#refuse({ kind: "invalid", message: `Wrong requirement_name: ${own.requirementName}` }, request, 403)
        : this.#verify(named, request);
    }
    const requirement = this.#settings.rules.find(({ matches }) => matches(request))?.requirement;
    return requirement === undefined ? this.#removeTold(request) : this.#verify(requirement, request);
  }

  /**
   * Removes the headers in which the filter passes claims. A client must not be able to set them, even where no token
   * is required.
   */
  #removeTold(request: FilterRequest): undefined {
    for (const name of this.#claimHeaders) if (request.header(name) !== undefined) request.removeHeader(name);
    return undefined;
  }

  async #verify(requirement: JwtRequirement, request: FilterRequest): Promise<LocalReply | undefined> {
    const verdict = await verifyTokens(requirement, request);
    this.#removeTold(request);
    if (verdict.problem !== undefined) {
      tellFailure(verdict, request);
      return this.#refuse(verdict.problem, request, verdict.problem.kind === "audience" ? 403 : 401);
    }
    this.#allowed.increment();
    let clearsRoute = false;
    for (const accepted of verdict.accepted) {
      accept(accepted, request);
      clearsRoute ||= accepted.provider.options.clearsRoute;
    }
    if (clearsRoute) request.clearRoute();
    return undefined;
  }

  #refuse(problem: JwtProblem, request: FilterRequest, status: number): LocalReply {
    this.#denied.increment();
    const challenge = `Bearer realm="${request.scheme}://${request.authority}${request.path}"${problem.kind === "missing" ? "" : ', error="invalid_token"'}`;
    return {
      status,
      body: this.#settings.stripsFailure ? "" : problem.message,
      headers: status === 401 && !this.#settings.stripsFailure ? [["www-authenticate", challenge]] : [],
      flag: responseFlags.none,
      details: `jwt_authn_access_denied{${problem.message.replaceAll(/\s+/g, "_")}}`,
    };
  }
}

function isPreflight(request: FilterRequest): boolean {
  return (
    request.method === "OPTIONS" &&
    (request.header("origin") ?? "") !== "" &&
    (request.header("access-control-request-method") ?? "") !== ""
  );
}

function setMetadata(request: FilterRequest, key: string, value: unknown): void {
  if (key !== "")
    request.metadata.set(metadataName, { ...(request.metadata.get(metadataName) as object | undefined), [key]: value });
}

function tellFailure({ problem, failed }: JwtVerdict, request: FilterRequest): void {
  if (failed !== undefined && problem !== undefined)
    setMetadata(request, failed.options.failedStatusInMetadata, { message: problem.message });
}

function accept({ provider, location, token }: AcceptedToken, request: FilterRequest): void {
  const { options } = provider;
  setMetadata(request, options.payloadInMetadata, normalized(token.claims, options.spaceDelimitedClaims));
  setMetadata(request, options.headerInMetadata, token.header);
  for (const { header, path } of options.claimHeaders) {
    const text = headerText(claimAt(token.claims, path));
    if (text !== undefined) request.setHeader(header, text);
  }
  const { payloadHeader } = options;
  if (payloadHeader !== undefined) {
    const padding = payloadHeader.pads ? "=".repeat((4 - (token.payload.length % 4)) % 4) : "";
    request.setHeader(payloadHeader.name, `${token.payload}${padding}`);
  }
  if (!options.forward) removeToken(location, request);
}

function normalized(claims: JwtClaims, spaceDelimited: readonly string[]): JwtClaims {
  if (spaceDelimited.length === 0) return claims;
  const out: Record<string, unknown> = { ...claims };
  for (const name of spaceDelimited) {
    const value = out[name];
    if (typeof value === "string") out[name] = value.split(" ").filter((part) => part !== "");
  }
  return out;
}

function claimAt(claims: JwtClaims, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

function headerText(value: unknown): string | undefined {
  switch (typeof value) {
    case "string":
      // Drop a value with a line break, because it could start another header.
      return value === "" || /[\r\n\0]/.test(value) ? undefined : utf8HeadText(value);
    case "number":
    case "boolean":
      return String(value);
    case "object":
      return value === null ? undefined : Buffer.from(JSON.stringify(value)).toString("base64");
    default:
      return undefined;
  }
}
