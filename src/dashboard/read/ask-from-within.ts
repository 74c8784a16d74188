import { portForward, requestOverStream, type KubeConfig } from "../../kube/index.ts";
import { maxAnswerBytes } from "./pod-connections.ts";
import type { AskPod } from "./pod-http.ts";

/**
 * Asks again through a port-forward whoever wants to know who asks (status 401): upstream's control planes tell of their proxies to
 * who comes from within their pod, and a port-forward does. It takes `create` on `pods/portforward`; who has no such right gets the
 * first answer.
 */
export function askFromWithin(ask: AskPod, config: KubeConfig): AskPod {
  return async (address, path, signal, ...rest) => {
    const answer = await ask(address, path, signal, ...rest);
    if (answer.status !== 401) return answer;
    try {
      const stream = await portForward(config, {
        namespace: address.namespace,
        pod: address.pod,
        port: address.port,
        signal,
      });
      return await requestOverStream(stream, { method: "GET", path, maxAnswerBytes, signal });
    } catch {
      signal.throwIfAborted();
      return answer;
    }
  };
}
