import type { Clock, Logger } from "../../../base/index.ts";
import { isKubeCode, type KubeConfig, type KubeConnection } from "../../../kube/index.ts";
import { refusal } from "../../problem.ts";
import type { Access } from "./access.ts";
import type { Identity, OwnCredentials } from "./identity.ts";
import { ReviewedIdentity } from "./reviewed-identity.ts";
import { reviewSelf, reviewToken, type KnownUser } from "./reviews.ts";
import { configWithToken, credentialsOf } from "./user-credentials.ts";

export interface ClusterAccessOptions {
  readonly config: KubeConfig;
  readonly client: KubeConnection;
  /** Whether users without a login read with the server's own account. */
  readonly anonymousReads: boolean;
  readonly namespace: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes credentials from a token. Only tests set it. */
  readonly credentialsOfToken?: (token: string) => OwnCredentials & { readonly client: KubeConnection };
}

const loginHint = "log in with a bearer token: kubectl create token <service account> -n <namespace>";

/**
 * Access to the page in a cluster. Users log in with bearer tokens. The API server checks a token, and all requests of
 * its user use it.
 */
export class ClusterAccess implements Access {
  readonly cluster: string;
  readonly mayLogIn = true;
  readonly anonymous: Identity | undefined;
  readonly loginHint = loginHint;
  readonly #options: ClusterAccessOptions;

  constructor(options: ClusterAccessOptions) {
    const { config, client, anonymousReads, namespace, clock } = options;
    this.#options = options;
    this.cluster = config.server;
    if (!anonymousReads) return;
    const known = { user: "anonymous", groups: [] };
    this.anonymous = new ReviewedIdentity({
      known,
      authentication: "anonymous",
      own: undefined,
      asking: client,
      listing: client,
      ownNamespace: namespace,
      clock,
      isTaken: async () => await Promise.resolve(true),
    });
  }

  async logIn(token: string): Promise<Identity> {
    const {
      client: server,
      config,
      namespace,
      clock,
      log,
      credentialsOfToken = (given) => credentialsOf(configWithToken(config, given), { log, clock }),
    } = this.#options;
    const own = credentialsOfToken(token);
    const ask = async (): Promise<KnownUser | undefined> => {
      try {
        return await reviewToken(server, token);
      } catch (error) {
        // The account may not review tokens, so ask with the token itself who its user is.
        if (isKubeCode(error, "forbidden")) return await reviewSelf(own.client);
        throw error;
      }
    };
    try {
      const known = await ask();
      if (known === undefined)
        throw refusal(
          "forbidden",
          "the API server does not accept this token",
          "it may have expired, or belong to another cluster; kubectl create token <service account>",
        );
      return new ReviewedIdentity({
        known,
        authentication: "token",
        own,
        asking: own.client,
        listing: server,
        ownNamespace: namespace,
        clock,
        expiresAtMs: expiryOf(token),
        isTaken: async () => (await ask()) !== undefined,
        close: () => own.client.close(),
      });
    } catch (error) {
      own.client.close();
      throw error;
    }
  }

  enter(): undefined {
    return undefined;
  }

  async limitsOf(identity: Identity): Promise<readonly string[]> {
    if (identity.authentication === "anonymous")
      return [
        "You read with the dashboard's own account. Log in with a token to read logs and proxies, and to change anything.",
      ];
    return await limitsOfRights(identity);
  }
}

export async function limitsOfRights(identity: Identity): Promise<readonly string[]> {
  const namespaces = await identity.namespaces();
  const limits: string[] = [];
  if (namespaces !== "*") {
    const count =
      namespaces.size === 0
        ? "no namespace"
        : `${namespaces.size} ${namespaces.size === 1 ? "namespace" : "namespaces"}`;
    limits.push(`You see ${count}: those whose pods you may list. A RoleBinding to the ClusterRole view gives more.`);
  }
  const where = namespaces === "*" ? "" : ([...namespaces][0] ?? "");
  const right = { verb: "patch", group: "rollout.serin.dev", resource: "canaries", namespace: where } as const;
  const may = await identity.knows(right);
  if (may === undefined)
    limits.push("The API server does not report what you may do: orders are accepted again once it answers.");
  if (may === false)
    limits.push("You may not give orders to canaries: you need the right to patch canaries of rollout.serin.dev.");
  return limits;
}

/** The time in the `exp` of a JSON web token. Undefined for other tokens: the API server decides when they expire. */
function expiryOf(token: string): number | undefined {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")) as {
      exp?: unknown;
    };
    return typeof exp === "number" && Number.isFinite(exp) ? exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
