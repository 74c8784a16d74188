import { generateKeyPairSync } from "node:crypto";
import { basicConstraints, distinguishedName, subjectAltName, X509Signer } from "../../../../x509/index.ts";
import { createCertificate } from "../../../admission/create-certificate.ts";

export interface Material {
  readonly certificate: string;
  readonly privateKey: string;
}

export async function issued(...names: readonly string[]): Promise<Material> {
  return await createCertificate(names, Date.now());
}

/** A certificate that expired an hour ago. */
export async function expired(...names: readonly string[]): Promise<Material> {
  return await createCertificate(names, Date.now() - 366 * 86_400_000);
}

/** What a pilot with an intermediate authority serves, and the certificate of that authority. */
export async function issuedByIntermediate(name: string): Promise<Material & { readonly intermediate: string }> {
  const [root, intermediate, leaf] = ["root", "intermediate", "leaf"].map((commonName) => ({
    name: distinguishedName({ commonName }),
    ...generateKeyPairSync("ec", { namedCurve: "P-256" }),
  }));
  const sign = async (
    signer: NonNullable<typeof root>,
    subject: NonNullable<typeof root>,
    extensions: Parameters<X509Signer["certificateInPool"]>[0]["extensions"],
  ): Promise<string> =>
    await new X509Signer(signer.privateKey).certificateInPool({
      issuer: signer.name,
      subject: subject.name,
      publicKey: subject.publicKey.export({ type: "spki", format: "der" }),
      notBeforeMs: Date.now() - 60_000,
      notAfterMs: Date.now() + 3_600_000,
      extensions,
    });
  const own = await sign(root!, intermediate!, [basicConstraints("authority", 0)]);
  const served = await sign(intermediate!, leaf!, [subjectAltName([{ dns: name }], { critical: false })]);
  return {
    intermediate: own,
    certificate: `${served}\n${own}`,
    privateKey: leaf!.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}
