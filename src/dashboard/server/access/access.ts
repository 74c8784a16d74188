import type { Identity } from "./identity.ts";
import type { Ends } from "./user-of-peer.ts";

export interface Access {
  /** The API server's address, or the name of the lab. */
  readonly cluster: string;
  readonly mayLogIn: boolean;
  /** The identity of visitors without a session. If undefined, visitors must log in. */
  readonly anonymous: Identity | undefined;
  /** What a visitor without a session must do to log in. */
  readonly loginHint: string;
  /**
   * Returns the identity of a token's user. Throws `forbidden` if the API server refuses the token, and a transient
   * error if it does not answer.
   */
  logIn(token: string): Promise<Identity>;
  /**
   * Throws `forbidden` if the browser at the other end of the connection must not use a printed address, even with the
   * right secret.
   */
  checkBrowser?(connection: Ends): Promise<void>;
  /** The identity for the secret in a printed address. Undefined if the secret is unknown or was used. */
  enter(secret: string): Identity | undefined;
  /** Sentences that say what the user cannot see or do, and how to grant it. */
  limitsOf(identity: Identity): Promise<readonly string[]>;
}
