import type { Reader } from "../reader.ts";
import { checkEach } from "./checks.ts";
import { readText, warnOfUnknown } from "./fields.ts";
import { trustDomainFault } from "./trust-domain.ts";

/** MeshConfig.CertificateData: who is trusted besides the mesh's own authority. */
export interface TrustedAuthority {
  /** Its root. Exactly one of the two is there. */
  readonly pem?: string | undefined;
  /** Where its roots are fetched, as a SPIFFE bundle; always with `https://`. */
  readonly spiffeBundleUrl?: string | undefined;
  /** Servers take clients of these, besides those of the mesh. */
  readonly trustDomains: readonly string[];
}

/** Reads `caCertificates`. */
export function readTrustedAuthorities(reader: Reader): readonly TrustedAuthority[] {
  return reader.objects("caCertificates").map(readTrustedAuthority);
}

function readTrustedAuthority(reader: Reader): TrustedAuthority {
  const [pem, url] = [readText(reader, "pem"), readText(reader, "spiffeBundleUrl")];
  if (pem !== undefined && url !== undefined)
    reader.error("must not be set beside pem: give each an entry of its own", "spiffeBundleUrl");
  if (pem === undefined && url === undefined && !reader.has("certSigners"))
    reader.warn("trusts nobody: set pem to a root, or spiffeBundleUrl to where roots are fetched");
  const trustDomains = reader.strings("trustDomains");
  checkEach(reader, "trustDomains", trustDomains, trustDomainFault);
  if (reader.has("certSigners"))
    reader.warn(
      "has no effect here: this control plane signs by an authority of its own, and asks no signer of Kubernetes",
      "certSigners",
    );
  warnOfUnknown(reader);
  return { pem, spiffeBundleUrl: url === undefined ? undefined : bundleAddress(reader, url), trustDomains };
}

/** Upstream fetches by HTTPS alone, and takes an address without a scheme for one of it. */
function bundleAddress(reader: Reader, text: string): string {
  const address = text.startsWith("https://") ? text : `https://${text}`;
  if (/^[a-z]+:\/\//.test(text) && address !== text)
    reader.error(`must be an address of https, got "${text}"`, "spiffeBundleUrl");
  else if (!URL.canParse(address))
    reader.error(`must be an address such as https://spire.example.com/bundle, got "${text}"`, "spiffeBundleUrl");
  return address;
}
