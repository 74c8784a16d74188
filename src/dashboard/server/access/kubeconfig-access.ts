import { randomBytes, timingSafeEqual } from "node:crypto";
import { messageOf, type Clock } from "../../../base/index.ts";
import { refusal } from "../../problem.ts";
import type { Access } from "./access.ts";
import { limitsOfRights } from "./cluster-access.ts";
import type { Identity, OwnCredentials } from "./identity.ts";
import { ReviewedIdentity } from "./reviewed-identity.ts";
import { reviewSelf, type KnownUser } from "./reviews.ts";
import { strangerFault, userOfPeer, type Ends } from "./user-of-peer.ts";

export interface KubeconfigAccessOptions {
  readonly own: OwnCredentials;
  readonly cluster: string;
  readonly namespace: string;
  readonly clock: Clock;
  /** The user id of this process, and that of the user who called `sudo`, if `sudo` started this process. */
  readonly users: { readonly own: number; readonly sudo: number | undefined };
  /** Called when a browser has used the secret. There is then a new secret for another browser. */
  readonly secretUsed: () => void;
}

const secretBytes = 32;

/**
 * Access to the page on a user's own machine, with the user's kubeconfig. A printed address admits the browser that
 * opens it.
 */
export class KubeconfigAccess implements Access {
  readonly cluster: string;
  readonly mayLogIn = false;
  readonly anonymous = undefined;
  readonly loginHint = "open the address that serin dashboard printed last; each start prints another one";
  readonly #options: KubeconfigAccessOptions;
  readonly #identity: ReviewedIdentity;
  #secret = newSecret();

  private constructor(options: KubeconfigAccessOptions, known: KnownUser) {
    const { own, namespace, clock } = options;
    this.#options = options;
    this.cluster = options.cluster;
    this.#identity = new ReviewedIdentity({
      known,
      authentication: "kubeconfig",
      own,
      asking: own.client,
      listing: own.client,
      ownNamespace: namespace,
      clock,
      isTaken: async () => await Promise.resolve(true),
    });
  }

  /** Asks the API server for the user's name. Throws if it does not answer, or if it refuses the credentials. */
  static async open(options: KubeconfigAccessOptions): Promise<KubeconfigAccess> {
    const known = await reviewSelf(options.own.client);
    if (known === undefined)
      throw refusal("forbidden", "the API server does not accept the kubeconfig's credentials", "kubectl auth whoami");
    return new KubeconfigAccess(options, known);
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** The secret in the address to print. It admits one browser. */
  get secret(): string {
    return this.#secret;
  }

  async logIn(): Promise<Identity> {
    return await Promise.reject(
      refusal("forbidden", "this server does not accept logins with a token", this.loginHint),
    );
  }

  async checkBrowser(connection: Ends): Promise<void> {
    const fault = strangerFault(await userOfPeer(connection), this.#options.users);
    if (fault !== undefined) throw refusal("forbidden", fault, "open the address in a browser of the same user");
  }

  enter(secret: string): Identity | undefined {
    const expected = Buffer.from(this.#secret);
    const given = Buffer.from(secret);
    if (expected.length !== given.length || !timingSafeEqual(expected, given)) return undefined;
    this.#secret = newSecret();
    this.#options.secretUsed();
    return this.#session();
  }

  async limitsOf(identity: Identity): Promise<readonly string[]> {
    try {
      return await limitsOfRights(identity);
    } catch (error) {
      return [`What you may do is not known: ${messageOf(error)}`];
    }
  }

  /** The identity of one session. Sessions share the cached rights of the user, and end independently. */
  #session(): Identity {
    const identity = this.#identity;
    let isOver = false;
    return {
      user: identity.user,
      groups: identity.groups,
      authentication: identity.authentication,
      own: identity.own,
      reading: identity.reading,
      namespaces: async () => await identity.namespaces(),
      hiddenKinds: async () => await identity.hiddenKinds(),
      may: async (right) => await identity.may(right),
      knows: async (right) => await identity.knows(right),
      isValid: async () => await Promise.resolve(!isOver),
      close: () => {
        isOver = true;
      },
    };
  }
}

function newSecret(): string {
  return randomBytes(secretBytes).toString("base64url");
}
