import { isIP } from "node:net";
import { userError } from "../../../base/index.ts";
import { serviceKind } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";

/** Whether a rollout of this namespace may have a URL asked; throws a user error with the remedy when it may not. Of no namespace: a MeshUpgrade. */
export type CheckDestination = (url: string, namespace: string | undefined) => Promise<void>;

const clusterName = /^([a-z0-9][-a-z0-9]*)\.([a-z0-9][-a-z0-9]*)$/;
const clusterSuffix = /\.svc(?:\.cluster\.local)?$/;

/**
 * Where webhooks, notifications and queries of rollouts may lead: Services of the rollout's own namespace, and hosts that the
 * mesh's operator allows (`*.example.com` is every name below it). Who writes Canaries is not thereby who asks with the engine's
 * place in the network. Mesh upgrades are written by the operator, and go anywhere.
 */
export function checkDestination(client: KubeClient, allowedHosts: readonly string[]): CheckDestination {
  const allowed = allowedHosts.map(plainHost);
  return async (url, namespace) => {
    if (namespace === undefined) return;
    const host = plainHost(new URL(url).hostname);
    if (allowed.some((one) => one === host || (one.startsWith("*.") && host.endsWith(one.slice(1))))) return;
    const [, name, ofNamespace] = isIP(host.replaceAll(/^\[|\]$/g, "")) === 0 ? (clusterName.exec(host) ?? []) : [];
    if (name !== undefined && ofNamespace === namespace) {
      const service = await client.get(serviceKind, name, namespace);
      // A name such as shop.example is outside of the cluster when there is no such Service, and an ExternalName leads anywhere.
      if (service !== undefined && service.spec?.type !== "ExternalName") return;
    }
    throw userError(
      "destination-not-allowed",
      `${host} is neither a Service of the namespace ${namespace} nor a host that this mesh's operator allows`,
      {
        hint: `name a Service as <name>.${namespace}, or have the host added to ALLOWED_HOSTS of Deployment serin-system/serin-rollout`,
      },
    );
  };
}

function plainHost(host: string): string {
  return host.toLowerCase().replace(/\.$/, "").replace(clusterSuffix, "");
}

/** Reads `a.example,*.b.example`. */
export function parseAllowedHosts(text: string): readonly string[] {
  return text
    .split(",")
    .map((host) => host.trim())
    .filter((host) => host !== "");
}
