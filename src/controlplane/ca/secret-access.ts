import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";

/** A service account that credentials have proven, and its cluster. */
export interface ProvenAccount {
  readonly clusterId: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

export interface SecretAccessOptions {
  readonly clientOf: (clusterId: string) => KubeClient | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Verdict {
  allowed: boolean | undefined;
  untilMs: number;
  asking: Promise<boolean> | undefined;
}

const reviewPath = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
/** How long a result is kept, as in upstream. */
const keptMs = 60_000;
/** How long the next try waits after a failed review. */
const failedMs = 2000;
const maxKept = 4096;

/**
 * Checks whether an account may list the Secrets of its namespace, as upstream requires before a proxy gets a Secret.
 */
export class SecretAccess {
  readonly #options: SecretAccessOptions;
  readonly #verdicts = new Map<string, Verdict>();

  constructor(options: SecretAccessOptions) {
    this.#options = options;
  }

  /**
   * The result that is known now. Undefined means none yet. If a review is running, `learned` is called with its
   * result.
   */
  known(account: ProvenAccount, learned: (allowed: boolean) => void): boolean | undefined {
    const verdict = this.#verdictOf(account);
    if (verdict.untilMs <= this.#options.clock.steadyMs() && verdict.asking === undefined) {
      verdict.asking = this.#ask(account, verdict);
    }
    if (verdict.asking !== undefined) void verdict.asking.then(learned);
    return verdict.allowed;
  }

  #verdictOf({ clusterId, namespace, serviceAccount }: ProvenAccount): Verdict {
    const key = `${clusterId}\0${namespace}/${serviceAccount}`;
    let verdict = this.#verdicts.get(key);
    if (verdict !== undefined) return verdict;
    if (this.#verdicts.size >= maxKept) this.#verdicts.delete(this.#verdicts.keys().next().value ?? "");
    this.#verdicts.set(key, (verdict = { allowed: undefined, untilMs: 0, asking: undefined }));
    return verdict;
  }

  async #ask(account: ProvenAccount, verdict: Verdict): Promise<boolean> {
    const { clock, log } = this.#options;
    try {
      verdict.allowed = await this.#review(account);
      verdict.untilMs = clock.steadyMs() + keptMs;
    } catch (error) {
      // If the API server does not answer, the previous result stays, so that a gateway keeps its certificate. If there
      // is none, the account is refused.
      verdict.allowed ??= false;
      verdict.untilMs = clock.steadyMs() + failedMs;
      log.warn("could not ask whether an account may list Secrets", {
        account: `${account.namespace}/${account.serviceAccount}`,
        error: messageOf(error),
      });
    } finally {
      verdict.asking = undefined;
    }
    return verdict.allowed;
  }

  async #review({ clusterId, namespace, serviceAccount }: ProvenAccount): Promise<boolean> {
    const client = this.#options.clientOf(clusterId);
    if (client === undefined) return false;
    const { status, text } = await client.raw("POST", reviewPath, {
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: {
          user: `system:serviceaccount:${namespace}:${serviceAccount}`,
          groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
          resourceAttributes: { namespace, verb: "list", resource: "secrets" },
        },
      },
    });
    if (status >= 300) throw new Error(`the API server answered ${status} to a SubjectAccessReview`);
    return (JSON.parse(text) as { readonly status?: { readonly allowed?: boolean } }).status?.allowed === true;
  }
}
