import { portForward, requestOverStream, type KubeConfig } from "../../kube/index.ts";
import { maxAnswerBytes } from "./pod-connections.ts";
import type { AskPod } from "./pod-http.ts";

/**
 * Repeats a request through a port-forward if the answer has status 401. Istio's control planes report their proxies
 * only to callers inside their pod, and a port-forward connects from inside the pod. The user needs `create` on
 * `pods/portforward`. Without this right, the caller gets the first answer.
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
