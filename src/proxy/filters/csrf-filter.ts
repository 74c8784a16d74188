import type { StringMatcher } from "../routing/matchers.ts";
import type { FilterCounter } from "../terms/filter-statistics.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { FilterServices } from "./filter-services.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "./http-filter.ts";

export class CsrfSettings {
  /**
   * The fraction (0 to 1) of requests for which the policy is enforced. Of the other requests, the fraction `shadowed`
   * is only counted.
   */
  readonly enabled: number;
  readonly shadowed: number;
  /** The hosts, with their ports, from which requests may come, in addition to the request's own host. */
  readonly otherOrigins: readonly StringMatcher[];

  constructor(options: Pick<CsrfSettings, "enabled" | "shadowed" | "otherOrigins">) {
    this.enabled = options.enabled;
    this.shadowed = options.shadowed;
    this.otherOrigins = options.otherOrigins;
  }
}

const changingMethods: ReadonlySet<string> = new Set(["POST", "PUT", "DELETE", "PATCH"]);

const refusal: LocalReply = {
  status: 403,
  body: "Invalid origin",
  headers: [],
  flag: responseFlags.none,
  details: "csrf_origin_mismatch",
};

/** Refuses requests by which another site makes a browser change something (cross-site request forgery). */
export class CsrfFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: CsrfSettings;
  readonly #random: FilterServices["random"];
  readonly #missing: FilterCounter;
  readonly #invalid: FilterCounter;
  readonly #valid: FilterCounter;

  constructor(name: string, settings: CsrfSettings, services: FilterServices, statPrefix: string) {
    this.name = name;
    this.idle = settings.enabled === 0 && settings.shadowed === 0;
    this.#settings = settings;
    this.#random = services.random;
    this.#missing = services.statistics.counter(`${statPrefix}csrf.missing_source_origin`);
    this.#invalid = services.statistics.counter(`${statPrefix}csrf.request_invalid`);
    this.#valid = services.statistics.counter(`${statPrefix}csrf.request_valid`);
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    if (!changingMethods.has(request.method)) return undefined;
    const own = request.route?.filterConfigs.get(this.name);
    const settings = own instanceof CsrfSettings ? own : this.#settings;
    const enforces = this.#random() < settings.enabled;
    if (!enforces && this.#random() >= settings.shadowed) return undefined;
    return this.#isValid(request, settings) || !enforces ? undefined : refusal;
  }

  #isValid(request: FilterRequest, { otherOrigins }: CsrfSettings): boolean {
    const source = sourceOf(request);
    if (source === "") {
      this.#missing.increment();
      return false;
    }
    const valid =
      source.toLowerCase() === request.authority.toLowerCase() || otherOrigins.some((matches) => matches(source));
    (valid ? this.#valid : this.#invalid).increment();
    return valid;
  }
}

/** The host and port of the page that sends the request. Empty if no header names it. */
function sourceOf(request: FilterRequest): string {
  const origin = request.header("origin") ?? "";
  // Treat the origin `null` as another site, even if the referer names this site.
  if (origin === "null") return "";
  return hostOf(origin === "" ? (request.header("referer") ?? "") : origin);
}

/** The host and port of an absolute URL. As in Envoy, any other text is returned unchanged. */
function hostOf(url: string): string {
  const [, host = url] = /^[a-z][a-z\d+.-]*:\/\/(?:[^/?#@]*@)?([^/?#@]+)(?:[/?#]|$)/i.exec(url) ?? [];
  return host;
}
