import type { Identity } from "./identity.ts";

/** How people come in. */
export interface Access {
  /** The API server's address, or the name of the lab. */
  readonly cluster: string;
  /** A bearer token may be given. */
  readonly mayLogIn: boolean;
  /** The identity of visitors without a session. Undefined: they must log in. */
  readonly anonymous: Identity | undefined;
  /** The message for visitors without a session who must log in. */
  readonly loginHint: string;
  /** Throws `forbidden` where the API server does not take the token, and a transient error where it cannot be asked. */
  logIn(token: string): Promise<Identity>;
  /** The identity that a secret of a printed address stands for; undefined where it stands for none, or was used. */
  enter(secret: string): Identity | undefined;
  /** What the user cannot see or do, and how to grant it. */
  limitsOf(identity: Identity): Promise<readonly string[]>;
}
