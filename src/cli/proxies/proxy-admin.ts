import { istioAnnotations } from "../../api/istio/index.ts";
import { messageOf, transientError, userError } from "../../base/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { portFlag, type CommonFlags } from "../flags.ts";
import { findPods } from "./pods.ts";

export const defaultAdminPort = 15_000;

export interface AdminFlags extends CommonFlags {
  readonly proxyAdminPort?: number;
}

export const adminPortFlag = [
  "--proxy-admin-port <port>",
  "the port of the proxy's admin interface",
  portFlag,
  defaultAdminPort,
] as const;

export interface ProxyPod {
  readonly name: string;
  readonly namespace: string;
}

const proxyContainer = "istio-proxy";

/** Finds the pod that the text names. Throws unless it has an Envoy-compatible proxy. */
export async function findProxyPod(
  client: KubeClient,
  text: string,
  flags: CommonFlags,
  context: CliContext,
): Promise<ProxyPod> {
  const [pod] = await findPods(client, text, flags, context);
  if (pod === undefined) throw userError("object-missing", `${text} has no pods`);
  return asProxyPod(pod, context);
}

export function asProxyPod(pod: Pod, { programName }: CliContext): ProxyPod {
  const { name = "", namespace = "", labels = {}, annotations = {} } = pod.metadata;
  if (labels["app"] === "ztunnel")
    throw userError("proxy-missing", `${name}.${namespace} is a ztunnel, which has no such configuration`, {
      hint: `${programName} ztunnel-config all ${name}.${namespace}`,
    });
  if (!hasProxy(pod)) {
    const isAmbient = annotations[istioAnnotations.ambientRedirection] === "enabled";
    throw userError(
      "proxy-missing",
      `pod ${name}.${namespace} has no proxy: none of its containers is named ${proxyContainer}`,
      {
        hint: isAmbient
          ? `its traffic goes through its node's ztunnel: ${programName} ztunnel-config workload --workload-namespace ${namespace}`
          : `find out why the pod was not injected: ${programName} experimental check-inject ${name} -n ${namespace}`,
      },
    );
  }
  if (pod.status?.phase !== undefined && pod.status.phase !== "Running") {
    throw userError("pod-not-running", `pod ${name}.${namespace} is ${pod.status.phase}: its proxy cannot answer`, {
      hint: `kubectl -n ${namespace} describe pod ${name}`,
    });
  }
  return { name, namespace };
}

export function hasProxy({ spec }: Pod): boolean {
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(({ name }) => name === proxyContainer);
}

export async function askAdmin(
  pod: ProxyPod,
  method: "GET" | "POST",
  path: string,
  flags: AdminFlags,
  context: CliContext,
): Promise<string> {
  const port = flags.proxyAdminPort ?? defaultAdminPort;
  const answer = await context
    .requestOfPod(flags, { namespace: pod.namespace, pod: pod.name, port, method, path })
    .catch((cause: unknown) => {
      if (cause instanceof Error && "code" in cause && cause.code === "forbidden") throw cause;
      throw transientError(
        "admin-unreachable",
        `the proxy of ${pod.name}.${pod.namespace} does not answer on port ${port}: ${messageOf(cause)}`,
        {
          cause,
          hint: `kubectl -n ${pod.namespace} logs ${pod.name} -c ${proxyContainer}; use --proxy-admin-port for another port`,
        },
      );
    });
  if (answer.status !== 200)
    throw transientError(
      "admin-refused",
      `the proxy of ${pod.name}.${pod.namespace} answered ${answer.status} for ${method} ${path}: ${answer.text.trim().slice(0, 200)}`,
    );
  return answer.text;
}

export function parseAdminJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw userError("dump-invalid", `${where} is not JSON`, {
      cause,
      hint: "expected the response of the proxy's admin interface: curl localhost:15000/config_dump",
    });
  }
}
