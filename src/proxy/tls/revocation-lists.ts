import { userError } from "../../base/index.ts";

/** Splits a PEM text into its lists. Throws if there are none. */
export function splitRevocations(text: string): readonly string[] {
  const lists = text.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g);
  if (lists === null)
    throw userError("tls-material-invalid", "the revocation lists cannot be used: there is no X509 CRL in PEM", {
      hint: "convert it with openssl crl -inform DER -out ca.crl",
    });
  return lists;
}
