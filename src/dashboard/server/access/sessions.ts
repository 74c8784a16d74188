import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { invariant, type Clock } from "../../../base/index.ts";
import { limits } from "../limits.ts";
import type { Identity } from "./identity.ts";

export interface SessionsOptions {
  readonly clock: Clock;
  /** A session ends after this time without a request. An open page keeps sending requests. */
  readonly idleMs: number;
  /** A session ends after this time in any case. */
  readonly absoluteMs: number;
}

interface Entry {
  readonly identity: Identity;
  readonly beganMs: number;
  usedMs: number;
}

const idBytes = 32;
const idText = /^[\w-]{43}$/;

/** Sessions by the random text in a cookie. They exist only in memory, so a restart of the server ends them. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #csrfKey = randomBytes(idBytes);

  constructor(options: SessionsOptions) {
    invariant(options.idleMs > 0 && options.absoluteMs > 0, "a session's times must be above 0");
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * A text for a cookie. Before the login, it belongs to no user. The login's CSRF token is derived from it, which
   * shows that the login comes from the page.
   */
  newId(): string {
    return randomBytes(idBytes).toString("base64url");
  }

  isId(text: string): boolean {
    return idText.test(text);
  }

  /** The token that a page sends with its writes. It depends only on the cookie, so it also exists without a login. */
  csrfToken(id: string): string {
    return createHmac("sha256", this.#csrfKey).update(id).digest("base64url");
  }

  isCsrfToken(id: string, token: string): boolean {
    const expected = Buffer.from(this.csrfToken(id));
    const given = Buffer.from(token);
    return expected.length === given.length && timingSafeEqual(expected, given);
  }

  /**
   * Begins a session with a new id. If the user has too many sessions, the user's oldest one ends. If there are too
   * many in total, the oldest of all ends.
   */
  begin(identity: Identity): string {
    const id = this.newId();
    const nowMs = this.#options.clock.steadyMs();
    this.#entries.set(id, { identity, beganMs: nowMs, usedMs: nowMs });
    this.#giveWay((entry) => entry.identity.user === identity.user, limits.sessionsOfUser);
    this.#giveWay(() => true, limits.sessions);
    return id;
  }

  /** Finds a session, which counts as a use of it. Undefined if the session is unknown or has ended. */
  find(id: string): Identity | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    const nowMs = this.#options.clock.steadyMs();
    if (nowMs - entry.usedMs > this.#options.idleMs || nowMs - entry.beganMs > this.#options.absoluteMs) {
      this.end(id);
      return undefined;
    }
    entry.usedMs = nowMs;
    return entry.identity;
  }

  end(id: string): void {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    entry?.identity.close();
  }

  sweep(): void {
    const nowMs = this.#options.clock.steadyMs();
    for (const [id, { usedMs, beganMs }] of this.#entries) {
      if (nowMs - usedMs > this.#options.idleMs || nowMs - beganMs > this.#options.absoluteMs) this.end(id);
    }
  }

  #giveWay(counts: (entry: Entry) => boolean, bound: number): void {
    const counted = [...this.#entries].filter(([, entry]) => counts(entry));
    const surplus = counted
      .toSorted(([, a], [, b]) => a.usedMs - b.usedMs)
      .slice(0, Math.max(0, counted.length - bound));
    for (const [id] of surplus) this.end(id);
  }
}
