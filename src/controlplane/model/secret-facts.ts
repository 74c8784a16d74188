import { externalSecretPrefix, type ServerTls } from "../../api/istio/index.ts";

/** One usable part of a secret, or why it cannot be used. */
export type SecretPart<Value> = { readonly value: Value } | { readonly fault: string };

export interface KeyPair {
  /** The certificate chain, in PEM as the key. */
  readonly certificateChain: string;
  readonly privateKey: string;
  /** The OCSP staple, DER in base64. Absent if the secret has none, or none that can be used. */
  readonly ocspStaple?: string;
  /** Why a staple of the secret is left out. Absent if none is. */
  readonly stapleFault?: string;
  /** Why a server cannot present the certificate, although a client can. Absent if it can. */
  readonly serverFault?: string;
}

export interface Authority {
  /** The trusted certificates, in PEM. */
  readonly certificates: string;
  /** The revocation lists, in PEM. Absent if there are none. */
  readonly revocations?: string;
}

/** A secret that a gateway requests. If it does not exist, the faults of its parts say so. */
export interface SecretFacts {
  readonly namespace: string;
  readonly name: string;
  readonly exists: boolean;
  readonly keyPair: SecretPart<KeyPair>;
  readonly authority: SecretPart<Authority>;
}

/** A secret and the proxies that may get it. All proxies of a namespace request it by the same name. */
export interface SecretReference {
  readonly proxyNamespace: string;
  /**
   * The resource's name: `kubernetes://name` or `kubernetes-gateway://namespace/name`, either with or without
   * `-cacert`.
   */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly part: "keyPair" | "authority";
  /** Whether the secret may be missing, because another secret provides the same. */
  readonly optional: boolean;
  /** Whether a server presents the certificate. Absent if a client does. */
  readonly isServer?: boolean;
  /** The Gateway (Gateway API) that names the secret. Absent if an Istio object does. */
  readonly recipient?: SecretRecipient;
  /** The namespace of the object that names the secret. Absent if it is the secret's own. */
  readonly author?: string;
}

export interface SecretRecipient {
  /** The Gateway's name, in the namespace of its proxies. */
  readonly gateway: string;
  /** The account of the Gateway's proxies. Absent if the user deploys them, with any account. */
  readonly account?: string;
}

/** A secret with this suffix contains the authority for the certificate in the secret without it. */
export const authoritySuffix = "-cacert";

/**
 * The resource name of a Secret. A name that already says where the secret is stays unchanged. As in upstream, the name
 * for an SDS provider means a Secret if there is no such provider.
 */
export function credentialResource(given: string): string {
  const name = given.startsWith(externalSecretPrefix) ? given.slice(externalSecretPrefix.length) : given;
  return name.includes("://") ? name : `kubernetes://${name}`;
}

export interface ServerCredential {
  readonly resource: string;
  /** Who serves the secret: an SDS provider, or the control plane, which sends a Secret. */
  readonly from: "control-plane" | "provider";
}

/** A server's certificates, in the order in which they are offered, and the authority of its clients. */
export function serverCredentials(
  tls: ServerTls,
  hasProvider: boolean,
): {
  readonly certificates: readonly ServerCredential[];
  readonly authority: ServerCredential | undefined;
} {
  const credentialOf = (name: string, suffix = ""): ServerCredential =>
    hasProvider && name.startsWith(externalSecretPrefix)
      ? { resource: `${name.slice(externalSecretPrefix.length)}${suffix}`, from: "provider" }
      : { resource: `${credentialResource(name)}${suffix}`, from: "control-plane" };
  const names =
    tls.credentialNames.length > 0 ? tls.credentialNames : tls.credentialName === undefined ? [] : [tls.credentialName];
  const beside = names[0] === undefined ? undefined : credentialOf(names[0], authoritySuffix);
  return {
    certificates: names.map((name) => credentialOf(name)),
    authority: tls.caCertCredentialName === undefined ? beside : credentialOf(tls.caCertCredentialName),
  };
}

/**
 * The secrets that a resource name means for proxies of a namespace, in the order of lookup. Empty if the name refers
 * to no secret. An authority is in the secret with {@link authoritySuffix}, or else in the secret of the certificate.
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

export function resourcesOfSecret({ namespace, name }: Pick<SecretFacts, "namespace" | "name">): readonly string[] {
  const names = name.endsWith(authoritySuffix) ? [name] : [name, `${name}${authoritySuffix}`];
  return names.flatMap((own) => [
    `kubernetes://${own}`,
    `kubernetes://${namespace}/${own}`,
    `kubernetes-gateway://${namespace}/${own}`,
  ]);
}
