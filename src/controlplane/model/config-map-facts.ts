import type { Authority, SecretPart } from "./secret-facts.ts";

/** A ConfigMap that configuration refers to. If it does not exist, `authority` has a fault that says so. */
export interface ConfigMapFacts {
  readonly namespace: string;
  readonly name: string;
  readonly exists: boolean;
  readonly data: Readonly<Record<string, string>>;
  /** The roots under the ConfigMap's key `ca.crt` (or `cacert`). */
  readonly authority: SecretPart<Authority>;
}

/** The referrer is not recorded, because a ConfigMap's content is not secret. */
export interface ConfigMapReference {
  readonly namespace: string;
  readonly name: string;
  /** The namespace of the object that names the ConfigMap. Absent if it is the ConfigMap's own namespace. */
  readonly author?: string;
}

const scheme = "configmap://";

/** The resource name by which proxies request a ConfigMap's roots. Its suffix is that of the authorities of secrets. */
export function configMapResource({ namespace, name }: ConfigMapReference): string {
  return `${scheme}${namespace}/${name}`;
}

export function configMapOfResource(resource: string): ConfigMapReference | undefined {
  const [, namespace, name] = /^configmap:\/\/([^/]+)\/([^/]+)-cacert$/.exec(resource) ?? [];
  return namespace === undefined || name === undefined ? undefined : { namespace, name };
}

/** Whether a credential's name refers to a ConfigMap. Everybody may read the roots in it. */
export function namesConfigMap(credential: string): boolean {
  return credential.startsWith(scheme);
}
