import type { KubeClient, RawOptions, RawResponse } from "./client.ts";
import type { KubeConfig } from "./kube-config.ts";
import { portForward } from "./port-forward.ts";
import { requestOverStream } from "./stream-request.ts";

const podProxy = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/:]+):(\d+)\/proxy(\/.*)$/;
const unauthenticated = 401;

/**
 * A client that asks a pod again through a port-forward where the pod, asked through the API server, wants to know who asks: control
 * planes tell of their proxies to who comes from within their pod, and a port-forward does. It takes `create` on
 * `pods/portforward`; who has no such right gets the first answer.
 */
export function withPortForward<Client extends KubeClient>(client: Client, config: KubeConfig): Client {
  const raw = async (method: string, path: string, options?: RawOptions): Promise<RawResponse> => {
    const answer = await client.raw(method, path, options);
    const [, namespace, pod, port, pathOfPod] = podProxy.exec(path) ?? [];
    if (answer.status !== unauthenticated || method !== "GET" || namespace === undefined || pod === undefined)
      return answer;
    try {
      const stream = await portForward(config, {
        namespace,
        pod,
        port: Number(port),
        ...(options?.signal === undefined ? {} : { signal: options.signal }),
      });
      return {
        ...(await requestOverStream(stream, { method, path: pathOfPod ?? "/", signal: options?.signal })),
        headers: {},
      };
    } catch {
      options?.signal?.throwIfAborted();
      return answer;
    }
  };
  return new Proxy(client, {
    get: (target, name) => {
      if (name === "raw") return raw;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
