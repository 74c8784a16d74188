// Follows one object of the API by a watch, because polling a large status ten times a second takes a twentieth of a
// core.
import type { KindDefinition, KubernetesObject } from "../../src/api/index.ts";
import { createLogger, systemClock } from "../../src/base/index.ts";
import { createInformer, type KubeClient } from "../../src/kube/index.ts";

export interface FollowedObject<Value extends KubernetesObject> {
  readonly kind: KindDefinition<Value>;
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly signal: AbortSignal;
}

/** The longest time between two calls of `look`, so that it can end the watch at a time limit. */
const lookEveryMs = 1000;

/** Calls `look` for each state of the object, and resolves with its first answer. Rejects when `look` throws. */
export async function followObject<Value extends KubernetesObject, Answer>(
  client: KubeClient,
  { kind, name, namespace, signal }: FollowedObject<Value>,
  look: (object: Value | undefined) => Answer | undefined,
): Promise<Answer> {
  const ended = new AbortController();
  const informer = createInformer(client, kind, {
    ...(namespace === undefined ? {} : { namespace }),
    fieldSelector: `metadata.name=${name}`,
    log: createLogger({ scope: "follow", level: "error" }),
    clock: systemClock,
  });
  const running = informer.run(AbortSignal.any([ended.signal, signal]));
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<Answer>((resolve, reject) => {
      const consider = (): void => {
        try {
          const answer = look(informer.list()[0]);
          if (answer !== undefined) resolve(answer);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      informer.subscribe(consider);
      timer = setInterval(consider, lookEveryMs);
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      if (signal.aborted) reject(signal.reason as Error);
    });
  } finally {
    clearInterval(timer);
    ended.abort();
    await running.catch(() => undefined);
  }
}
