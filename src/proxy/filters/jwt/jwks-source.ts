import type { createLocalJWKSet, JSONWebKeySet } from "jose";
import type { Clock } from "../../../base/index.ts";
import type { CallCluster } from "../../terms/call-cluster.ts";
import { jose } from "./jose.ts";

/** The keys that verify tokens. A source returns another object whenever the keys have changed. */
export interface KeySet {
  readonly find: ReturnType<typeof createLocalJWKSet>;
}

/** The source of a provider's keys. `keys` throws, or rejects, if there are no keys. */
export interface JwksSource {
  keys(): KeySet | Promise<KeySet>;
}

/** Throws an error if the text is not a JSON Web Key Set. */
export function parseKeySet(text: string): KeySet {
  return { find: jose().createLocalJWKSet(JSON.parse(text) as JSONWebKeySet) };
}

export interface RemoteJwksOptions {
  readonly cluster: string;
  readonly uri: URL;
  readonly timeoutMs: number;
  readonly cacheMs: number;
  readonly retries: number;
  /** Whether old keys stay in use while new ones cannot be fetched. */
  readonly keepsOld: boolean;
  readonly clock: Clock;
  readonly callCluster: CallCluster;
}

const maxKeySetBytes = 1024 * 1024;
/**
 * The pause after a failed fetch, in milliseconds. Until it is over, requests get the old keys if the options allow it,
 * and fail at once otherwise.
 */
const failurePauseMs = 1000;

/** Keys fetched through a cluster when they are needed, and again when they are too old. */
export class RemoteJwks implements JwksSource {
  readonly #options: RemoteJwksOptions;
  #known: { readonly keys: KeySet; readonly untilMs: number } | undefined;
  #fetching: Promise<KeySet> | undefined;
  #failed: { readonly error: unknown; readonly untilMs: number } | undefined;

  constructor(options: RemoteJwksOptions) {
    this.#options = options;
  }

  keys(): KeySet | Promise<KeySet> {
    const nowMs = this.#options.clock.steadyMs();
    if (this.#known !== undefined && nowMs < this.#known.untilMs) return this.#known.keys;
    if (this.#failed !== undefined && nowMs < this.#failed.untilMs) return this.#instead(this.#failed.error);
    return (this.#fetching ??= this.#refresh());
  }

  #instead(failure: unknown): KeySet {
    if (this.#options.keepsOld && this.#known !== undefined) return this.#known.keys;
    throw failure;
  }

  async #refresh(): Promise<KeySet> {
    const { clock, cacheMs, retries } = this.#options;
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          const keys = await this.#fetch();
          this.#known = { keys, untilMs: clock.steadyMs() + cacheMs };
          this.#failed = undefined;
          return keys;
        } catch (error) {
          if (attempt >= retries) throw error;
        }
      }
    } catch (error) {
      this.#failed = { error, untilMs: clock.steadyMs() + failurePauseMs };
      return this.#instead(error);
    } finally {
      this.#fetching = undefined;
    }
  }

  async #fetch(): Promise<KeySet> {
    const { cluster, uri, timeoutMs, callCluster } = this.#options;
    const answer = await callCluster(
      {
        cluster,
        protocol: "http1",
        method: "GET",
        path: `${uri.pathname}${uri.search}`,
        authority: uri.host,
        headers: [["accept", "application/json"]],
        body: Buffer.alloc(0),
        timeoutMs,
        maxAnswerBytes: maxKeySetBytes,
      },
      AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs))),
    );
    if (answer.status !== 200) throw new Error(`${uri.href} answered ${answer.status}`);
    return parseKeySet(answer.body.toString());
  }
}
