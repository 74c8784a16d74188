import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { X509Signer } from "../../x509/index.ts";

const generate = promisify(generateKeyPair);

export interface KeyAndRequest {
  readonly privateKeyPem: string;
  readonly csrPem: string;
}

/** Creates an ECDSA P-256 key, and a request for a certificate whose only name is the SPIFFE id. */
export async function createCertificateRequest(identity: string): Promise<KeyAndRequest> {
  const { privateKey, publicKey } = await generate("ec", { namedCurve: "P-256" });
  return {
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    csrPem: new X509Signer(privateKey).request(publicKey.export({ type: "spki", format: "der" }), [{ uri: identity }]),
  };
}
