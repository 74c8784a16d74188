import type { Identity } from "./identity.ts";
import type { Ends } from "./user-of-peer.ts";

/** How users are admitted and identified. */
export interface Access {
  /** The API server's address, or the name of the lab. */
  readonly cluster: string;
  /** Whether users may log in with a bearer token. */
  readonly mayLogIn: boolean;
  /** The identity of visitors without a session. If undefined, they must log in. */
  readonly anonymous: Identity | undefined;
  /** The message for visitors without a session who must log in. */
  readonly loginHint: string;
  /**
   * The identity of a token's user. Throws `forbidden` if the API server refuses the token, and a transient error if it
   * does not answer.
   */
  logIn(token: string): Promise<Identity>;
  /**
   * Throws `forbidden` if the browser at this connection must not use a printed address, even with the right secret.
   */
  checkBrowser?(connection: Ends): Promise<void>;
  /** The identity for the secret of a printed address. Undefined if the secret is unknown or was used. */
  enter(secret: string): Identity | undefined;
  /** What the user cannot see or do, and how to grant it. */
  limitsOf(identity: Identity): Promise<readonly string[]>;
}
