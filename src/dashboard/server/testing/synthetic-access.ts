import type { KubeClient } from "../../../kube/index.ts";
import type { Access } from "../access/access.ts";
import type { Identity } from "../access/identity.ts";
import { refusal } from "../../problem.ts";

export const syntheticToken = "synthetic-token";

export function syntheticIdentity(given: Partial<Identity> = {}): Identity {
  return {
    user: "ana@example.org",
    groups: ["developers"],
    authentication: "token",
    own: undefined,
    reading: {} as KubeClient,
    namespaces: async () => await Promise.resolve("*" as const),
    hiddenKinds: async () => await Promise.resolve(new Set<string>()),
    may: async () => await Promise.resolve(true),
    knows: async () => await Promise.resolve(true),
    isValid: async () => await Promise.resolve(true),
    close: () => undefined,
    ...given,
  };
}

/**
 * Admits one user with {@link syntheticToken} or the secret `synthetic-secret`. Admits everybody if `anonymous` is
 * given.
 */
export function syntheticAccess({ anonymous }: { readonly anonymous?: Identity | undefined }): Access {
  return {
    cluster: "synthetic",
    mayLogIn: true,
    anonymous,
    loginHint: `log in with the token ${syntheticToken}`,
    logIn: async (token) => {
      if (token !== syntheticToken) throw refusal("forbidden", "the token is not taken");
      return await Promise.resolve(syntheticIdentity());
    },
    enter: (secret) => (secret === "synthetic-secret" ? syntheticIdentity() : undefined),
    limitsOf: async () => await Promise.resolve([]),
  };
}
