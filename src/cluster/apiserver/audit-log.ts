import { appendFileSync } from "node:fs";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { AccessAttributes, Decision, User } from "../auth/index.ts";

/** A lab asks for some thousand different things. What comes after these is not written. */
const maxLines = 20_000;

/**
 * Writes who asked for what, and whether his roles allowed it, as events of audit.k8s.io: the first request of each user
 * for each verb and resource of a namespace. A name is written where a rule names objects.
 */
export class AuditLog {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #written = new Set<string>();

  constructor(path: string, clock: Clock, log: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  record(user: User, attributes: AccessAttributes, { allowed, reason, byName }: Decision): void {
    const { verb, group, resource, subresource, namespace, path } = attributes;
    const name = byName === true || !allowed ? attributes.name : "";
    const key = [user.name, allowed, verb, path ?? "", group, resource, subresource, namespace, name].join("\n");
    if (this.#written.has(key) || this.#written.size >= maxLines) return;
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
