import { AgingCache, transientError, type Clock } from "../../base/index.ts";
import { errorOfStatus, type KubeClient } from "../../kube/index.ts";

/** The audience of the tokens that upstream's control planes accept. */
const audience = "istio-ca";
const lifetimeSeconds = 600;
/** A token is renewed this long before its expiry. */
const spareMs = 120_000;
const maxTokens = 32;
const engineUser = "system:serviceaccount:serin-system:serin-rollout";

interface KeptToken {
  readonly token: string;
  readonly untilMs: number;
}

/**
 * Tokens of control planes' own service accounts. Control planes answer requests about their proxies only for callers
 * of their own namespace (upstream's ENABLE_DEBUG_ENDPOINT_AUTH), so the engine uses their identity. That gives it no
 * new power, because it may install control planes anyway.
 */
export class PilotTokens {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #kept = new AgingCache<string, KeptToken>(maxTokens);
  readonly #asked = new AgingCache<string, Promise<string>>(maxTokens);

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  kept(namespace: string, serviceAccount: string): string | undefined {
    const kept = this.#kept.get(`${namespace}/${serviceAccount}`);
    return kept !== undefined && this.#clock.steadyMs() < kept.untilMs ? kept.token : undefined;
  }

  forget(namespace: string, serviceAccount: string): void {
    this.#kept.delete(`${namespace}/${serviceAccount}`);
  }

  async of(namespace: string, serviceAccount: string): Promise<string> {
    const kept = this.kept(namespace, serviceAccount);
    if (kept !== undefined) return kept;
    const key = `${namespace}/${serviceAccount}`;
    const asked = this.#asked.get(key);
    if (asked !== undefined) return await asked;
    const token = this.#request(namespace, serviceAccount);
    this.#asked.set(key, token);
    return await token.finally(() => {
      if (this.#asked.get(key) === token) this.#asked.delete(key);
    });
  }

  async #request(namespace: string, serviceAccount: string): Promise<string> {
    const key = `${namespace}/${serviceAccount}`;
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { audiences: [audience], expirationSeconds: lifetimeSeconds },
    };
    const { status, text } = await this.#client.raw(
      "POST",
      `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
      { body },
    );
    const token = status < 300 ? (JSON.parse(text) as { status?: { token?: string } }).status?.token : undefined;
    if (token === undefined) {
      const { message } = errorOfStatus({ verb: "create", object: `a token of service account ${key}` }, status, text);
      throw transientError("token-refused", message, {
        reason: String(status),
        hint: `kubectl auth can-i create serviceaccounts --subresource=token -n ${namespace} --as ${engineUser}`,
      });
    }
    this.#kept.set(key, { token, untilMs: this.#clock.steadyMs() + lifetimeSeconds * 1000 - spareMs });
    return token;
  }
}
