import { userError } from "../../base/index.ts";
import type { DataSource, TlsCertificate } from "../../wire/envoy/index.ts";
import type { CertificateRef, RevocationsRef } from "./tls-spec.ts";

/** A certificate by files or in place. */
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

function inlineText(source: DataSource | undefined): string | undefined {
  const specifier = source?.specifier;
  if (specifier?.case === "inlineString") return specifier.value;
  return specifier?.case === "inlineBytes" ? Buffer.from(specifier.value).toString("utf8") : undefined;
}
