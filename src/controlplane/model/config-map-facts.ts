import type { Authority, SecretPart } from "./secret-facts.ts";

/** A ConfigMap that configuration names. A missing one has that as its fault. */
export interface ConfigMapFacts {
  readonly namespace: string;
  readonly name: string;
  readonly exists: boolean;
  readonly data: Readonly<Record<string, string>>;
  /** Roots under its key `ca.crt` (or `cacert`). */
  readonly authority: SecretPart<Authority>;
}

/** It does not matter who names a ConfigMap, because its content is not secret. */
export interface ConfigMapReference {
  readonly namespace: string;
  readonly name: string;
}

const scheme = "configmap://";

/** The name under which proxies ask for the roots of a ConfigMap; with the suffix of authorities, as those of secrets. */
export function configMapResource({ namespace, name }: ConfigMapReference): string {
  return `${scheme}${namespace}/${name}`;
}

/** The ConfigMap that a resource name refers to. Undefined for names of other resources. */
export function configMapOfResource(resource: string): ConfigMapReference | undefined {
  const [, namespace, name] = /^configmap:\/\/([^/]+)\/([^/]+)-cacert$/.exec(resource) ?? [];
  return namespace === undefined || name === undefined ? undefined : { namespace, name };
}

/** Whether a credential's name is a ConfigMap with roots, which everybody may read. */
export function namesConfigMap(credential: string): boolean {
  return credential.startsWith(scheme);
}
