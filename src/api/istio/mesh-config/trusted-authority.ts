import type { Reader } from "../../reader.ts";
import { checkEach } from "../checks.ts";
import { readText, warnOfUnknown } from "../fields.ts";
import { trustDomainFault } from "./trust-domain.ts";

/** MeshConfig.CertificateData: a certificate authority that is trusted in addition to the mesh's own. */
export interface TrustedAuthority {
  /** The authority's root certificates. Exactly one of `pem` and `spiffeBundleUrl` is set. */
  readonly pem?: string | undefined;
  /** The HTTPS URL of a SPIFFE bundle with the authority's roots. */
  readonly spiffeBundleUrl?: string | undefined;
  /** Servers accept clients of these trust domains, in addition to those of the mesh. */
  readonly trustDomains: readonly string[];
}

export function readTrustedAuthorities(reader: Reader): readonly TrustedAuthority[] {
  return reader.objects("caCertificates").map(readTrustedAuthority);
}

function readTrustedAuthority(reader: Reader): TrustedAuthority {
  const [pem, url] = [readText(reader, "pem"), readText(reader, "spiffeBundleUrl")];
  if (pem !== undefined && url !== undefined)
    reader.error("cannot be combined with pem: write a separate entry for each", "spiffeBundleUrl");
  if (pem === undefined && url === undefined && !reader.has("certSigners"))
    reader.warn("trusts nobody: set pem to a root certificate, or spiffeBundleUrl to the URL of a bundle");
  const trustDomains = reader.strings("trustDomains");
  checkEach(reader, "trustDomains", trustDomains, trustDomainFault);
  if (reader.has("certSigners"))
    reader.warnNoEffect(
      "has no effect here: this control plane signs with its own authority, and uses no Kubernetes signer",
      "certSigners",
    );
  warnOfUnknown(reader);
  return { pem, spiffeBundleUrl: url === undefined ? undefined : bundleAddress(reader, url), trustDomains };
}

/**
 * The address of a bundle. As in upstream, only HTTPS is allowed, and `https://` is added to an address without a
 * scheme.
 */
function bundleAddress(reader: Reader, text: string): string {
  const address = text.startsWith("https://") ? text : `https://${text}`;
  if (/^[a-z]+:\/\//.test(text) && address !== text)
    reader.error(`must be an https URL, got "${text}"`, "spiffeBundleUrl");
  else if (!URL.canParse(address))
    reader.error(`must be a URL such as https://spire.example.com/bundle, got "${text}"`, "spiffeBundleUrl");
  return address;
}
