import type { IncomingMessage, ServerResponse } from "node:http";
import type { Session } from "../../api/dashboard/index.ts";
import { messageOf, SerinError, type Clock } from "../../base/index.ts";
import type { Access } from "./access/access.ts";
import { FailedLogins } from "./access/failed-logins.ts";
import type { Identity } from "./access/identity.ts";
import type { Sessions } from "./access/sessions.ts";
import type { AuditLog } from "./audit-log.ts";
import { limits } from "./limits.ts";
import { refusal } from "../problem.ts";
import { cookiesOf } from "./security.ts";

export interface VisitsOptions {
  readonly access: Access;
  readonly sessions: Sessions;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly version: string;
  /** The prefix of all paths, for example `/kiali`. Empty for the root. */
  readonly root: string;
}

export interface Visit {
  /** The session's id in the cookie, or a new one if the request had none. */
  readonly id: string;
  readonly isNew: boolean;
  /** If undefined, the sender must log in first. */
  readonly identity: Identity | undefined;
}

/**
 * The cookie's name, which contains the port. A browser sends a host's cookies to all of its ports, so servers behind
 * different port-forwards would overwrite each other's.
 */
function cookieNameOf(request: IncomingMessage): string {
  const [, port] = /:(\d{1,5})$/.exec(request.headers.host ?? "") ?? [];
  return port === undefined ? "serin-session" : `serin-session-${port}`;
}

export const csrfHeader = "x-serin-csrf";

export class Visits {
  readonly #options: VisitsOptions;
  readonly #failures: FailedLogins;

  constructor(options: VisitsOptions) {
    this.#options = options;
    this.#failures = new FailedLogins(options.clock);
  }

  /** Finds out who sends a request. The identity is anonymous unless the session's token is still valid. */
  async of(request: IncomingMessage): Promise<Visit> {
    const { sessions, access } = this.#options;
    const given = cookiesOf(request).get(cookieNameOf(request)) ?? "";
    if (!sessions.isId(given)) return { id: sessions.newId(), isNew: true, identity: access.anonymous };
    return { id: given, isNew: false, identity: (await this.identityOf(given)) ?? access.anonymous };
  }

  async isNamed(request: IncomingMessage): Promise<boolean> {
    const { identity } = await this.of(request);
    return identity !== undefined && identity !== this.#options.access.anonymous;
  }

  /** The identity of a session. Undefined if the session or its token has ended. */
  async identityOf(id: string): Promise<Identity | undefined> {
    const { sessions } = this.#options;
    const identity = sessions.find(id);
    if (identity === undefined) return undefined;
    if (await identity.isValid()) return identity;
    sessions.end(id);
    return undefined;
  }

  /** Throws for a write that does not come from the page. */
  checkCsrf(request: IncomingMessage, { id, isNew }: Visit): void {
    const token = request.headers[csrfHeader];
    if (!isNew && typeof token === "string" && this.#options.sessions.isCsrfToken(id, token)) return;
    throw refusal("forbidden", `the header ${csrfHeader} is missing, or is not this session's`, "reload the page");
  }

  async session({ id, identity }: Visit): Promise<Session> {
    const { access, sessions, version } = this.#options;
    const common = { csrfToken: sessions.csrfToken(id), mayLogIn: access.mayLogIn, version, cluster: access.cluster };
    if (identity === undefined)
      return { ...common, user: "", groups: [], authentication: "none", namespaces: [], limits: [access.loginHint] };
    const { user, groups, authentication } = identity;
    try {
      const [namespaces, limits] = await Promise.all([identity.namespaces(), access.limitsOf(identity)]);
      return {
        ...common,
        user,
        groups,
        authentication,
        namespaces: namespaces === "*" ? ["*"] : [...namespaces].toSorted(),
        limits,
      };
    } catch (error) {
      return {
        ...common,
        user,
        groups,
        authentication,
        namespaces: [],
        limits: [`What you may see is not known now: ${messageOf(error)}`],
      };
    }
  }

  /**
   * Logs a user in. `address` is that of the client. The session gets a new cookie, so that a cookie that somebody has
   * set in the browser before is worthless.
   */
  async logIn(token: string, address: string, visit: Visit, response: ServerResponse): Promise<Visit> {
    const { access, audit, sessions } = this.#options;
    if (!access.mayLogIn) throw refusal("forbidden", "this server does not accept logins with a token");
    if (token === "" || token.length > limits.tokenLength || /[^\x21-\x7e]/.test(token))
      throw refusal("invalid", "this is not a bearer token", "kubectl create token <service account>");
    this.#failures.check(address);
    try {
      const identity = await access.logIn(token);
      sessions.end(visit.id);
      const id = sessions.begin(identity);
      this.setCookie(response, id);
      audit.record({ user: identity.user, what: "login", result: "done", detail: "" });
      return { id, isNew: false, identity };
    } catch (error) {
      if (error instanceof SerinError && error.kind === "user") {
        this.#failures.add(address);
        audit.record({ user: "", what: "login", result: "refused", detail: error.message });
      }
      throw error;
    }
  }

  /** Begins a session if the secret of a printed address is right. Returns whether it was. */
  enter(secret: string, response: ServerResponse): boolean {
    const { access, audit, sessions } = this.#options;
    const identity = access.enter(secret);
    if (identity === undefined) return false;
    this.setCookie(response, sessions.begin(identity));
    audit.record({ user: identity.user, what: "login", result: "done", detail: "with the printed address" });
    return true;
  }

  logOut({ id, identity }: Visit, response: ServerResponse): Visit {
    const { access, audit, sessions } = this.#options;
    if (identity !== undefined && identity !== access.anonymous)
      audit.record({ user: identity.user, what: "logout", result: "done", detail: "" });
    sessions.end(id);
    const next = { id: sessions.newId(), isNew: true, identity: access.anonymous };
    this.setCookie(response, next.id);
    return next;
  }

  setCookie(response: ServerResponse, id: string): void {
    response.setHeader(
      "set-cookie",
      `${cookieNameOf(response.req)}=${id}; Path=${this.#options.root}/; HttpOnly; SameSite=Strict`,
    );
  }
}
