import type { ProvenAccount, SecretAccess } from "../ca/index.ts";
import { configMapOfResource, type MeshInputs } from "../model/index.ts";

/**
 * Whether an account may have a resource of this name. Undefined until the API server has answered, which calls
 * `learned`.
 */
export type SecretPermission = (
  account: ProvenAccount,
  resource: string,
  learned: (allowed: boolean) => void,
) => boolean | undefined;

const gatewayLabel = "gateway.networking.k8s.io/gateway-name";
const gatewayScheme = "kubernetes-gateway://";

/**
 * An account gets the secrets that configuration names for its namespace if it could read them itself. For this it must
 * be allowed to list Secrets there, as upstream requires. Pods that a control plane created for a Gateway lack that
 * permission, and get what their Gateway names. Roots in ConfigMaps are not secret.
 */
export function secretPermission(inputs: Pick<MeshInputs, "pods">, access: SecretAccess): SecretPermission {
  const gateways = inputs.pods.index("gateway-accounts", ({ labels, namespace, serviceAccount }) =>
    labels[gatewayLabel] === undefined ? [] : [`${namespace}/${serviceAccount}`],
  );
  return (account, resource, learned) => {
    if (configMapOfResource(resource) !== undefined) return true;
    const { namespace, serviceAccount } = account;
    if (resource.startsWith(gatewayScheme) && gateways.lookup(`${namespace}/${serviceAccount}`).length > 0) return true;
    return access.known(account, learned);
  };
}
