import { messageOf } from "../../base/index.ts";
import { listsInPem } from "../../dataplane/tunnels/index.ts";
import { TlsContext } from "../../net/index.ts";

const beginOfList = "-----BEGIN X509 CRL-----";
const endOfList = "-----END X509 CRL-----";

/**
 * Splits a text into its revocation lists in PEM. The text may instead be one list in DER, with one character for each
 * byte. Throws if the text has no list or an incomplete one.
 */
export function splitRevocations(text: string): readonly string[] {
  if (/^0[\x81-\xff]/.test(text)) return [pemOfDer(Buffer.from(text, "latin1"))];
  return listsInPem(text);
}

/** Why the revocation lists in a PEM text cannot be used. Undefined if they can. */
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
