import { messageOf, userError } from "../../base/index.ts";
import { TlsContext } from "../../net/index.ts";

const beginOfList = "-----BEGIN X509 CRL-----";
const endOfList = "-----END X509 CRL-----";

/**
 * Splits a text into its lists in PEM. The text may also be one list in DER, with one character for each byte. Throws
 * if there is none, or if one is not complete.
 */
export function splitRevocations(text: string): readonly string[] {
  if (/^0[\x81-\xff]/.test(text)) return [pemOfDer(Buffer.from(text, "latin1"))];
  const lists = text.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g);
  if (lists === null)
    throw userError("tls-material-invalid", "the revocation lists cannot be used: there is no X509 CRL in PEM", {
      hint: "convert it with openssl crl -inform DER -out ca.crl",
    });
  const begun = text.split(beginOfList).length - 1;
  if (lists.length < begun)
    throw userError(
      "tls-material-invalid",
      `the revocation lists cannot be used: ${begun - lists.length} of ${begun} are not complete PEM`,
      { hint: "inspect them with openssl crl -noout -text" },
    );
  return lists;
}

/** Why a PEM text of lists cannot be used. Undefined if it can. */
export function revocationsFault(text: string): string | undefined {
  try {
    TlsContext.create({ revocations: splitRevocations(text) });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function pemOfDer(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return [beginOfList, ...lines, endOfList, ""].join("\n");
}
