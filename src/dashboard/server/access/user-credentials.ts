import type { Clock, Logger } from "../../../base/index.ts";
import { createKubeClient, portForward, type KubeConfig, type KubeConnection } from "../../../kube/index.ts";
import type { OwnCredentials } from "./identity.ts";

export function credentialsOf(
  config: KubeConfig,
  { log, clock }: { readonly log: Logger; readonly clock: Clock },
): OwnCredentials & { readonly client: KubeConnection } {
  const client = createKubeClient(config, { log, clock, userAgent: "serin-dashboard" });
  return { client, config, connectToPod: async (target) => await portForward(config, { ...target, clock }) };
}

/** A configuration for the same API server, with the token in place of all other credentials. */
export function configWithToken(
  { server, context, namespace, ca, insecure, tlsServerName, proxy }: KubeConfig,
  token: string,
): KubeConfig {
  return {
    server,
    context,
    namespace,
    token: { type: "literal", token },
    ...(ca === undefined ? {} : { ca }),
    ...(insecure === undefined ? {} : { insecure }),
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    ...(proxy === undefined ? {} : { proxy }),
  };
}
