import { istioLabels } from "../../api/istio/index.ts";
import type { Collection } from "../../kube/index.ts";
import type { ProvenAccount, SecretAccess } from "../ca/index.ts";
import { configMapOfResource, type MeshInputs, type SecretRecipient, type SecretReference } from "../model/index.ts";

/**
 * Whether an account may have a resource of this name. Undefined until the API server has answered, which then calls
 * `learned`.
 */
export type SecretPermission = (
  account: ProvenAccount,
  resource: string,
  learned: (allowed: boolean) => void,
) => boolean | undefined;

const gatewayScheme = "kubernetes-gateway://";

/**
 * Decides which secrets a proxy gets. An account gets the secrets that configuration names for its namespace if it
 * could read them itself: as upstream requires, it must be allowed to list Secrets there. The proxies that a control
 * plane created for a Gateway lack that permission, and get only what their own Gateway names. So an attacker who takes
 * over one gateway does not get the keys of all gateways. Roots in ConfigMaps are not secret.
 */
export function secretPermission(
  inputs: Pick<MeshInputs, "pods">,
  references: readonly Collection<SecretReference>[],
  access: SecretAccess,
): SecretPermission {
  const gateways = inputs.pods.index("gateway-accounts", ({ labels, namespace, serviceAccount, hasNoAccount }) => {
    const gateway = labels[istioLabels.gatewayName];
    return gateway === undefined || hasNoAccount === true ? [] : [`${namespace}/${serviceAccount}|${gateway}`];
  });
  const named = references.map((collection) =>
    collection.index("resource", ({ proxyNamespace, resource }) => [`${proxyNamespace}|${resource}`]),
  );
  const isProxyOf = ({ gateway, account }: SecretRecipient, { namespace, serviceAccount }: ProvenAccount): boolean =>
    account === undefined
      ? gateways.lookup(`${namespace}/${serviceAccount}|${gateway}`).length > 0
      : account === serviceAccount;
  return (account, resource, learned) => {
    if (configMapOfResource(resource) !== undefined) return true;
    if (!resource.startsWith(gatewayScheme)) return access.known(account, learned);
    const granted = named.flatMap((index) => index.lookup(`${account.namespace}|${resource}`));
    if (granted.some(({ recipient }) => recipient !== undefined && isProxyOf(recipient, account))) return true;
    // A ReferenceGrant to a managed Gateway is only for the proxies of this Gateway, and not for other proxies of its
    // namespace.
    const isOpen = granted.some(
      ({ namespace, recipient }) => recipient?.account === undefined || namespace === account.namespace,
    );
    return isOpen ? access.known(account, learned) : false;
  };
}
