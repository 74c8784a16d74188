import { transientError, userError } from "../../base/index.ts";
import { TlsContext } from "../../net/index.ts";
import type { DataSource, Secret, TlsCertificate } from "../../wire/envoy/index.ts";
import { splitRevocations } from "./revocation-lists.ts";
import type { CertificateRef, RevocationsRef } from "./tls-spec.ts";

export function certificateRef(certificate: TlsCertificate, where: string): CertificateRef {
  const { certificateChain, privateKey } = certificate;
  if (certificateChain?.specifier.case === "filename" && privateKey?.specifier.case === "filename") {
    return { kind: "files", chain: certificateChain.specifier.value, key: privateKey.specifier.value };
  }
  const [chain, key] = [inlineText(certificateChain), inlineText(privateKey)];
  if (chain === undefined || key === undefined)
    throw userError(
      "config-rejected",
      `${where}: expected certificateChain and privateKey, both as filenames or both inline`,
    );
  return { kind: "inline", chain, key };
}

/** Roots or revocation lists, from a file or inline. Undefined if there are none. */
export function rootsRef(source: DataSource | undefined, where: string): RevocationsRef | undefined {
  if (source === undefined) return undefined;
  if (source.specifier.case === "filename") return { kind: "file", path: source.specifier.value };
  const pem = inlineText(source);
  if (pem === undefined)
    throw userError(
      "config-rejected",
      `${where}: a data source by ${source.specifier.case ?? "nothing"} is not supported`,
    );
  return { kind: "inline", pem };
}

/** Throws if a secret has a form that this proxy does not support. */
export function checkSecret(message: Secret, name: string): void {
  const { type } = message;
  if (type.case === "tlsCertificate") certificateRef(type.value, `secret ${name}`);
  else if (type.case === "validationContext") {
    rootsRef(type.value.trustedCa, `secret ${name}`);
    const revoked = rootsRef(type.value.crl, `secret ${name}`);
    if (revoked?.kind === "inline") TlsContext.create({ revocations: splitRevocations(revoked.pem) });
  } else throw transientError("config-rejected", `secret ${name}: ${type.case ?? "an empty secret"} is not supported`);
}

/**
 * Throws if a secret is not usable. The control plane checks the secrets that it sends, but another secret service may
 * not. So a secret is tried before it replaces the present one.
 */
export function checkUsable(message: Secret, name: string): void {
  checkSecret(message, name);
  const { type } = message;
  if (type.case === "tlsCertificate") {
    const ref = certificateRef(type.value, `secret ${name}`);
    if (ref.kind === "inline") TlsContext.create({ certificateChain: ref.chain, privateKey: ref.key });
  } else if (type.case === "validationContext") {
    const ref = rootsRef(type.value.trustedCa, `secret ${name}`);
    if (ref?.kind === "inline") TlsContext.create({ roots: ref.pem });
  }
}

function inlineText(source: DataSource | undefined): string | undefined {
  const specifier = source?.specifier;
  if (specifier?.case === "inlineString") return specifier.value;
  return specifier?.case === "inlineBytes" ? Buffer.from(specifier.value).toString("utf8") : undefined;
}
