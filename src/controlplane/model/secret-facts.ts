import type { ServerTls } from "../../api/istio/index.ts";

/** What a secret offers, or why it cannot be used for that. */
export type SecretPart<Value> = { readonly value: Value } | { readonly fault: string };

export interface KeyPair {
  /** PEM. */
  readonly certificateChain: string;
  readonly privateKey: string;
  /** DER, base64; absent: none. */
  readonly ocspStaple?: string;
}

export interface Authority {
  /** PEM. */
  readonly certificates: string;
  /** PEM of revocation lists; absent: none. */
  readonly revocations?: string;
}

/** A secret that some gateway asks for; one that does not exist has that as its faults. */
export interface SecretFacts {
  readonly namespace: string;
  readonly name: string;
  readonly exists: boolean;
  readonly keyPair: SecretPart<KeyPair>;
  readonly authority: SecretPart<Authority>;
}

/** Whom a secret is for: proxies of one namespace know it by one name. */
export interface SecretReference {
  readonly proxyNamespace: string;
  /** The resource's name: `kubernetes://name`, `kubernetes-gateway://namespace/name`, either with `-cacert`. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly part: "keyPair" | "authority";
  /** Another secret serves as well. */
  readonly optional: boolean;
}

/** A secret of this ending holds the authority that is meant beside the certificate of the rest of the name. */
export const authoritySuffix = "-cacert";

/** The name of a secret's resource; names that say already where the secret is stay as they are. */
export function credentialResource(name: string): string {
  return name.includes("://") ? name : `kubernetes://${name}`;
}

/** The resources of a server's certificates, in the order in which they are offered, and of the authority of its clients. */
export function serverCredentials(tls: ServerTls): {
  readonly certificates: readonly string[];
  readonly authority: string | undefined;
} {
  const names =
    tls.credentialNames.length > 0 ? tls.credentialNames : tls.credentialName === undefined ? [] : [tls.credentialName];
  const certificates = names.map(credentialResource);
  const beside = certificates[0] === undefined ? undefined : `${certificates[0]}${authoritySuffix}`;
  return {
    certificates,
    authority: tls.caCertCredentialName === undefined ? beside : credentialResource(tls.caCertCredentialName),
  };
}

/**
 * The secrets that a resource's name means to proxies of a namespace, in the order in which they are looked at; empty for
 * other names. An authority may have a secret of its own, else it is beside the certificate.
 */
export function secretReferences(resource: string, proxyNamespace: string): readonly SecretReference[] {
  const [, scheme, path = ""] = /^(kubernetes|kubernetes-gateway):\/\/(.+)$/.exec(resource) ?? [];
  if (scheme === undefined) return [];
  const slash = path.indexOf("/");
  const namespace = slash < 0 ? proxyNamespace : path.slice(0, slash);
  const name = path.slice(slash + 1);
  const base = { proxyNamespace, resource, namespace };
  if (!name.endsWith(authoritySuffix)) return [{ ...base, name, part: "keyPair", optional: false }];
  const beside = name.slice(0, -authoritySuffix.length);
  return [
    { ...base, name, part: "authority", optional: true },
    { ...base, name: beside, part: "authority", optional: false },
  ];
}

/** The names of resources that a secret may be asked for by. */
export function resourcesOfSecret({ namespace, name }: Pick<SecretFacts, "namespace" | "name">): readonly string[] {
  const names = name.endsWith(authoritySuffix) ? [name] : [name, `${name}${authoritySuffix}`];
  return names.flatMap((own) => [
    `kubernetes://${own}`,
    `kubernetes://${namespace}/${own}`,
    `kubernetes-gateway://${namespace}/${own}`,
  ]);
}
