import { appendFileSync } from "node:fs";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { AccessAttributes, Decision, User } from "../auth/index.ts";

/**
 * The maximum number of lines in the log. A lab makes about a thousand different requests. The log omits requests
 * beyond the maximum.
 */
const maxLines = 20_000;
/**
 * The maximum number of lines for the allowed and the refused requests of one user. Anybody can invent paths and names,
 * even without a login. So one user's requests must not crowd out those of other users, and a user's refused requests
 * must not crowd out that user's allowed ones. A user who may create service accounts can act as many users. Therefore
 * each user also gets at most half of the lines that other users have not filled.
 */
const maxLinesOfUser = { allowed: 4000, refused: 500 };
/** The maximum length of a text field in a line, because a client may request a path of many kilobytes. */
const maxTextCharacters = 256;

/**
 * Writes events of audit.k8s.io: who requested what, and whether roles allowed it. It writes only the first request for
 * each combination of user, verb, resource and namespace. If the allowing rule lists object names, it also
 * distinguishes the names.
 */
export class AuditLog {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #written = new Set<string>();
  readonly #lines = new Map<string, { readonly allowed: number; readonly refused: number }>();

  constructor(path: string, clock: Clock, log: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  record(user: User, attributes: AccessAttributes, { allowed, reason, byName }: Decision): void {
    const { verb, group, resource, subresource, namespace, path, name } = shortened(attributes, byName, allowed);
    const key = [user.name, allowed, verb, path ?? "", group, resource, subresource, namespace, name].join("\n");
    if (this.#written.has(key)) return;
    const own = this.#lines.get(user.name) ?? { allowed: 0, refused: 0 };
    const outcome = allowed ? "allowed" : "refused";
    const ofUser = own.allowed + own.refused;
    const leftByOthers = maxLines - (this.#written.size - ofUser);
    if (own[outcome] >= maxLinesOfUser[outcome] || ofUser >= leftByOthers / 2) return;
    this.#lines.set(user.name, { ...own, [outcome]: own[outcome] + 1 });
    this.#written.add(key);
    const event = {
      kind: "Event",
      apiVersion: "audit.k8s.io/v1",
      level: "Metadata",
      stage: "RequestReceived",
      requestReceivedTimestamp: new Date(this.#clock.nowMs()).toISOString(),
      verb,
      user: { username: user.name, groups: user.groups },
      ...(path === undefined
        ? { objectRef: { apiGroup: group, resource, subresource, namespace, name } }
        : { requestURI: path }),
      annotations: {
        "authorization.k8s.io/decision": allowed ? "allow" : "forbid",
        "authorization.k8s.io/reason": reason,
      },
    };
    try {
      appendFileSync(this.#path, `${JSON.stringify(event)}\n`);
    } catch (error) {
      this.#log.warn("the audit log cannot be written", { path: this.#path, error: messageOf(error) });
    }
  }
}

function shortened(attributes: AccessAttributes, byName: boolean | undefined, allowed: boolean): AccessAttributes {
  const cut = (text: string): string => text.slice(0, maxTextCharacters);
  const { verb, group, resource, subresource, namespace, path } = attributes;
  return {
    verb: cut(verb),
    group: cut(group),
    resource: cut(resource),
    subresource: cut(subresource),
    namespace: cut(namespace),
    name: byName === true || !allowed ? cut(attributes.name) : "",
    ...(path === undefined ? {} : { path: cut(path) }),
  };
}
