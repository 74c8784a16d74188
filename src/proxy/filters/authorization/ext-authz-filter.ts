import { editQuery, type QueryEdits } from "../query-edits.ts";
import { responseFlags } from "../../terms/response-flags.ts";
import type { FilterCounter, FilterStatistics } from "../../terms/filter-statistics.ts";
import {
  bodyTooLarge,
  type FilterRequest,
  type HttpFilter,
  type LocalReply,
  type RequestBodyStart,
} from "../http-filter.ts";

export interface FieldEdit {
  readonly name: string;
  readonly value: string;
  readonly append: boolean;
}

export type AuthorizationAnswer =
  | {
      readonly kind: "allowed";
      readonly set: readonly FieldEdit[];
      readonly remove: readonly string[];
      readonly query?: QueryEdits;
      readonly answerFields: readonly (readonly [name: string, value: string])[];
      readonly metadata: unknown;
    }
  | {
      readonly kind: "denied";
      readonly status: number;
      readonly body: string;
      readonly fields: readonly (readonly [name: string, value: string])[];
      readonly metadata: unknown;
    };

/** What a service is asked about, besides the request's head. */
export interface AuthorizationQuestion {
  readonly extensions: Readonly<Record<string, string>>;
  /** The body of the request, or its beginning. Undefined if bodies are not sent, or if the request has none. */
  readonly body: RequestBodyStart | undefined;
}

/** Asks the service. Rejects if there is no answer, or if the answer has no verdict. */
export type AskAuthorization = (
  request: FilterRequest,
  question: AuthorizationQuestion,
  signal: AbortSignal,
) => Promise<AuthorizationAnswer>;

export interface ExtAuthzSettings {
  readonly ask: AskAuthorization;
  readonly allowsOnFailure: boolean;
  readonly marksFailure: boolean;
  readonly statusOnError: number;
  readonly enabled: (request: FilterRequest) => boolean;
  readonly clearsRoute: boolean;
  /** How much of a body is sent to the service. Undefined if no body is sent. */
  readonly body: BodyRules | undefined;
}

export interface BodyRules {
  readonly maxBytes: number;
  /** Whether the beginning of a longer body is sent. Otherwise requests with a longer body are refused. */
  readonly partial: boolean;
}

/** The header that tells a service whether it has received only the beginning of a body. */
export const partialBodyField = "x-envoy-auth-partial-body";

export class ExtAuthzRouteSettings {
  readonly disabled: boolean;
  readonly contextExtensions: Readonly<Record<string, string>>;
  /**
   * Which bodies are sent to the service. With `none`, no body is sent. If undefined, the filter's own setting applies.
   */
  readonly body: BodyRules | "none" | undefined;

  constructor(disabled: boolean, contextExtensions: Readonly<Record<string, string>>, body?: BodyRules | "none") {
    this.disabled = disabled;
    this.contextExtensions = contextExtensions;
    this.body = body;
  }
}

/** Headers that a service may not change, because they describe the framing of the client's message. */
const framingFields: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
  "keep-alive",
  "te",
  "trailer",
]);

export class ExtAuthzFilter implements HttpFilter {
  readonly name: string;
  readonly #settings: ExtAuthzSettings;
  readonly #ok: FilterCounter;
  readonly #denied: FilterCounter;
  readonly #error: FilterCounter;

  constructor(name: string, settings: ExtAuthzSettings, statistics: FilterStatistics, statPrefix: string) {
    this.name = name;
    this.#settings = settings;
    this.#ok = statistics.counter(`${statPrefix}ext_authz.ok`);
    this.#denied = statistics.counter(`${statPrefix}ext_authz.denied`);
    this.#error = statistics.counter(`${statPrefix}ext_authz.error`);
  }

  onRequest(
    request: FilterRequest,
    signal: () => AbortSignal,
  ): LocalReply | undefined | Promise<LocalReply | undefined> {
    const own = request.route?.filterConfigs.get(this.name);
    const route = own instanceof ExtAuthzRouteSettings ? own : undefined;
    if (route?.disabled === true || !this.#settings.enabled(request)) return undefined;
    return this.#ask(request, route, signal());
  }

  async #ask(
    request: FilterRequest,
    route: ExtAuthzRouteSettings | undefined,
    signal: AbortSignal,
  ): Promise<LocalReply | undefined> {
    const settings = this.#settings;
    const rules = route?.body ?? settings.body;
    const body =
      rules === undefined || rules === "none" || !request.hasBody ? undefined : await request.bodyStart(rules.maxBytes);
    // Refuse the request even if requests may pass when the service does not answer: the service must see the whole
    // body of this request, and cannot.
    if (body !== undefined && !body.isWhole && rules !== undefined && rules !== "none" && !rules.partial)
      return bodyTooLarge;
    let answer: AuthorizationAnswer;
    try {
      answer = await settings.ask(request, { extensions: route?.contextExtensions ?? {}, body }, signal);
    } catch {
      this.#error.increment();
      if (!settings.allowsOnFailure)
        return {
          status: settings.statusOnError,
          body: "",
          headers: [],
          flag: responseFlags.unauthorizedExternal,
          details: "ext_authz_error",
        };
      if (settings.marksFailure) request.setHeader("x-envoy-auth-failure-mode-allowed", "true");
      return undefined;
    }
    if (answer.metadata !== undefined) request.metadata.set(this.name, answer.metadata);
    if (answer.kind === "denied") {
      this.#denied.increment();
      return {
        status: answer.status,
        body: answer.body,
        headers: answer.fields,
        flag: responseFlags.unauthorizedExternal,
        details: "ext_authz_denied",
      };
    }
    this.#ok.increment();
    for (const name of answer.remove)
      if (!name.startsWith(":") && name !== "host" && !framingFields.has(name)) request.removeHeader(name);
    for (const { name, value, append } of answer.set) {
      if (framingFields.has(name)) continue;
      const before = append ? request.header(name) : undefined;
      request.setHeader(name, before === undefined ? value : `${before},${value}`);
    }
    if (answer.query !== undefined) editQuery(request, answer.query);
    for (const [name, value] of answer.answerFields) request.addResponseHeader(name, value);
    if (settings.clearsRoute && (answer.set.length > 0 || answer.remove.length > 0 || answer.query !== undefined))
      request.clearRoute();
    return undefined;
  }
}
